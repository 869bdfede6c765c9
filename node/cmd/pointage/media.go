package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"pointage/ledger"
	"pointage/node"
)

// replace gives a lost medium's place to a blank one.
func replace(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("replace", flag.ContinueOnError)
	medium := fs.Int("medium", -1, "which one: 0 is the disk, 1 and 2 are the keys; the new one lies at its directory")
	cfg, err := configured(fs, args, "pointage replace --config bureau-001/bureau.toml --medium 2")
	if err != nil {
		return err
	}
	if *medium < 0 || *medium > 2 {
		return usageError{fmt.Errorf("--medium %d: 0 is the disk, 1 and 2 are the keys", *medium)}
	}
	if err := ask(ctx, cfg, http.MethodPost, "/media", map[string]int{"replace": *medium}, &struct{}{}); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is medium %d now; the one before never counts again\n", cfg.Media[*medium], *medium)
	return nil
}

// importMedia merges an isolated bureau's day at the principal bureau.
func importMedia(ctx context.Context, args []string, out io.Writer) error {
	return oldMedia(ctx, "import", "/imports", "pointage import --config bureau-001/bureau.toml --bureau 12 --keys keys-12.age --media /media/a,/media/b", args, out)
}

// settle takes over the media of this bureau's machine before.
func settle(ctx context.Context, args []string, out io.Writer) error {
	return oldMedia(ctx, "settle", "/settlements", "pointage settle --config bureau-012/bureau.toml --keys identity.age --media /media/a,/media/b", args, out)
}

func oldMedia(ctx context.Context, name, path, example string, args []string, out io.Writer) error {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	bureau := fs.Uint("bureau", 0, "whose media they are")
	keys := fs.String("keys", "", "the sealed keys file that the media were written with")
	passFile := fs.String("passphrase-file", "", "file with its passphrase; asked for when absent")
	media := fs.String("media", "", "directories of the media, with commas")
	cfg, err := configured(fs, args, example)
	if err != nil {
		return err
	}
	if name == "settle" {
		*bureau = uint(cfg.Bureau)
	}
	if *bureau == 0 || *bureau > 1<<16-1 || *keys == "" || *media == "" {
		return usageError{errors.New("--bureau, --keys and --media are needed")}
	}
	pass, err := passphrase(ctx, *passFile)
	if err != nil {
		return err
	}
	in := node.OldMedia{Bureau: ledger.BureauNumber(*bureau), Keys: *keys, Passphrase: pass}
	for _, m := range append([]string{*keys}, strings.Split(*media, ",")...) {
		abs, err := filepath.Abs(m)
		if err != nil {
			return err
		}
		in.Media = append(in.Media, abs)
	}
	in.Keys, in.Media = in.Media[0], in.Media[1:]
	var got node.Imported
	if err := ask(ctx, cfg, http.MethodPost, path, in, &got); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(got)
}
