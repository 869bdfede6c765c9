package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"

	"pointage/node"
)

// report shows the reconciliation: what was done twice, and what is missing.
func report(ctx context.Context, args []string, out io.Writer) error {
	cfg, err := configured(flag.NewFlagSet("report", flag.ContinueOnError), args, "pointage report --config bureau-001/bureau.toml")
	if err != nil {
		return err
	}
	return printed(ctx, cfg, "/report", out)
}

// printed shows what the bureau answers, indented.
func printed(ctx context.Context, cfg node.Config, path string, out io.Writer) error {
	var got json.RawMessage
	if err := ask(ctx, cfg, http.MethodGet, path, struct{}{}, &got); err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(got)
}
