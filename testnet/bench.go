package main

import (
	"context"
	"fmt"
	"io"
)

func bench(_ context.Context, _ []string, _, errs io.Writer) int {
	fmt.Fprintln(errs, "bench")
	return exitUsage
}
