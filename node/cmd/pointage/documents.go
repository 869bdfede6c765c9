package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"pointage/ledger/minutes"
	"pointage/node"
)

// maxDocument is the length of a document, in bytes: the absent electors of the largest commune.
const maxDocument = 256 << 20

// drawMinutes has the running bureau draw minutes, and record them when asked to.
func drawMinutes(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("minutes", flag.ContinueOnError)
	dir := fs.String("out", ".", "directory to write to, made if missing")
	of := fs.String("bureau", "", "number of the bureau, 0 for the commune; this one when absent (principal bureau or deputy)")
	record := fs.Bool("record", false, "state their SHA-256 in the chain, once the bureau is closed")
	cfg, err := configured(fs, args, "pointage minutes --config bureau-001/bureau.toml --record --out papers")
	if err != nil {
		return err
	}
	name, body := fmt.Sprintf("bureau-%03d", cfg.Bureau), struct {
		Bureau *uint16 `json:"bureau,omitempty"`
	}{}
	if *of != "" {
		n, err := strconv.ParseUint(*of, 10, 16)
		if err != nil {
			return usageError{fmt.Errorf("--bureau %q is no number of a bureau", *of)}
		}
		k := uint16(n)
		if body.Bureau, name = &k, fmt.Sprintf("bureau-%03d", n); n == 0 {
			name = "commune"
		}
	}
	if *record {
		var said struct {
			French string `json:"french"`
			Dutch  string `json:"dutch"`
		}
		if err := ask(ctx, cfg, http.MethodPost, "/minutes", body, &said); err != nil {
			return err
		}
		fmt.Fprintf(out, "recorded: fr sha256 %s, nl sha256 %s\n", said.French, said.Dutch)
	}
	return drawn(ctx, cfg, out, *dir, map[string]string{fmt.Sprintf("minutes-%d-%s", cfg.Commune, name): "/minutes?bureau=" + url.QueryEscape(*of)})
}

// drawLists has the running bureau draw what else it prints: the paper list, and at the principal bureau the absent.
func drawLists(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("lists", flag.ContinueOnError)
	dir := fs.String("out", ".", "directory to write to, made if missing")
	absent := fs.Bool("absent", false, "the absent electors and members too (principal bureau)")
	cfg, err := configured(fs, args, "pointage lists --config bureau-001/bureau.toml --absent --out papers")
	if err != nil {
		return err
	}
	what := map[string]string{fmt.Sprintf("paper-list-%d-bureau-%03d", cfg.Commune, cfg.Bureau): "/lists/paper?"}
	if *absent {
		what[fmt.Sprintf("absent-electors-%d", cfg.Commune)] = "/lists/absent-electors?"
		what[fmt.Sprintf("absent-members-%d", cfg.Commune)] = "/lists/absent-members?"
	}
	return drawn(ctx, cfg, out, *dir, what)
}

// drawn writes documents in both languages and both forms; only their owner may read them.
func drawn(ctx context.Context, cfg node.Config, out io.Writer, dir string, what map[string]string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%w: name another directory with --out", err)
	}
	for name, path := range what {
		for _, lang := range minutes.Languages {
			for _, format := range []string{"pdf", "html"} {
				b, err := request(ctx, cfg, http.MethodGet, fmt.Sprintf("%s&lang=%v&format=%s", path, lang, format), nil, maxDocument)
				if err != nil {
					return err
				}
				file := filepath.Join(dir, fmt.Sprintf("%s-%v.%s", name, lang, format))
				if err := os.WriteFile(file, b, 0o600); err != nil {
					return fmt.Errorf("%w: name another directory with --out", err)
				}
			}
		}
		fmt.Fprintf(out, "%s: French and Dutch, PDF and HTML, in %s\n", name, dir)
	}
	return nil
}

// paper opens the list that lies on the media, when no bureau runs.
func paper(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("paper", flag.ContinueOnError)
	dir := fs.String("out", ".", "directory to write to, made if missing")
	cfg, err := configured(fs, args, "pointage paper --config bureau-001/bureau.toml --out papers")
	if err != nil {
		return err
	}
	pass, err := passphrase(ctx, cfg.PassphraseFile)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return fmt.Errorf("%w: name another directory with --out", err)
	}
	for _, lang := range minutes.Languages {
		pdf, at, err := node.OpenPaper(cfg, pass, lang)
		if err != nil {
			return err
		}
		file := filepath.Join(*dir, fmt.Sprintf("paper-list-%d-bureau-%03d-%v.pdf", cfg.Commune, cfg.Bureau, lang))
		if err := os.WriteFile(file, pdf, 0o600); err != nil {
			return fmt.Errorf("%w: name another directory with --out", err)
		}
		fmt.Fprintf(out, "%s, as of %s: who was checked in later is not on it\n", file, at.Format("15:04:05"))
	}
	return nil
}
