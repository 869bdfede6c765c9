// Command prepare makes an election before the day: it imports, divides and
// numbers lists of electors and writes manifest, keys and sealed registers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"pointage/tools/prepare/preparation"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := preparation.Command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
