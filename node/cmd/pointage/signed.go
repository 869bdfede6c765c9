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

// signers are the two persons who sign an act: --signatory and --passphrase-file, each twice.
type signers struct {
	keys, files list
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func (s *signers) flags(fs *flag.FlagSet) {
	fs.Var(&s.keys, "signatory", "a signatory's sealed key; given twice, for two persons")
	fs.Var(&s.files, "passphrase-file", "file with that signatory's passphrase, in the same order; asked for when absent")
}

// open reads what the two persons sign with.
func (s *signers) open(ctx context.Context) (out []node.Signing, err error) {
	if len(s.keys) != 2 {
		return nil, usageError{errors.New("two persons sign: give --signatory twice")}
	}
	if len(s.files) != 0 && len(s.files) != len(s.keys) {
		return nil, usageError{errors.New("give --passphrase-file for both signatories or for none")}
	}
	for i, k := range s.keys {
		x := node.Signing{}
		if x.Key, err = filepath.Abs(k); err != nil {
			return nil, err
		}
		file := ""
		if len(s.files) > 0 {
			file = s.files[i]
		}
		if x.Passphrase, err = passphrase(ctx, file); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// amend changes the manifest during the day.
func amend(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("amend", flag.ContinueOnError)
	act := fs.String("act", "", "relabel (the bureau sits elsewhere), retire (a machine's key is refused from now on), enrol (a machine is let in)")
	bureau := fs.Uint("bureau", 0, "which bureau")
	incarnation := fs.Uint("machine", 0, "its machine: 0 is the first, 1 and 2 those of the sealed envelopes")
	place := fs.String("place", "", "where the bureau sits from now on, for relabel")
	var by signers
	by.flags(fs)
	cfg, err := configured(fs, args, `pointage amend --config bureau-001/bureau.toml --act relabel --bureau 3 --place "École 12" --signatory signatory-1.age --signatory signatory-2.age`)
	if err != nil {
		return err
	}
	if *act == "" || *bureau == 0 || *bureau > 1<<16-1 || *incarnation >= ledger.Incarnations {
		return usageError{errors.New("--act and --bureau are needed, --machine is 0 to 2")}
	}
	in := node.Amendment{Act: *act, Bureau: ledger.BureauNumber(*bureau), Incarnation: ledger.Incarnation(*incarnation), Place: *place}
	if in.Signers, err = by.open(ctx); err != nil {
		return err
	}
	var got node.Amended
	if err := ask(ctx, cfg, http.MethodPost, "/amendments", in, &got); err != nil {
		return err
	}
	if !got.Effective {
		fmt.Fprintf(out, "amendment %d is recorded; it has effect when the group has it\n", got.Number)
		return nil
	}
	fmt.Fprintf(out, "amendment %d has effect\n", got.Number)
	return nil
}

// recoverGroup begins a new epoch, or shows what it would go on from.
func recoverGroup(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("recover", flag.ContinueOnError)
	var by signers
	by.flags(fs)
	cfg, err := configured(fs, args, "pointage recover --config bureau-001/bureau.toml --signatory signatory-1.age --signatory signatory-2.age")
	if err != nil {
		return err
	}
	var next node.NextEpoch
	if len(by.keys) == 0 {
		if err := ask(ctx, cfg, http.MethodGet, "/epochs/next", struct{}{}, &next); err != nil {
			return err
		}
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(next)
	}
	in := struct {
		Signers []node.Signing `json:"signers"`
	}{}
	if in.Signers, err = by.open(ctx); err != nil {
		return err
	}
	if err := ask(ctx, cfg, http.MethodPost, "/epochs", in, &next); err != nil {
		return err
	}
	fmt.Fprintf(out, "epoch %d goes on from %d entries; the other bureaux follow as they hear of it\n", next.Epoch, next.Entries)
	return nil
}
