// Command prepare makes an election before the day and ends it after: it imports,
// divides and numbers lists of electors, writes manifest, keys and sealed registers,
// records who has each key, and destroys all of it with a certificate.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"pointage/node/provenance"
	"pointage/tools/prepare/preparation"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		if err := provenance.Print(os.Stdout, "prepare"); err != nil {
			fmt.Fprintln(os.Stderr, "prepare:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := preparation.Command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
