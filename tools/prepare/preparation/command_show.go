package preparation

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pointage/ledger"
)

func runStatus(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("status", `prepare status --work DIR [INS ...]

Says how far each commune's preparation is, in figures, and checks list and record.

  prepare status --work communes
`, stdout)
	work := workOnly(f.FlagSet)
	if err := f.parse(args); err != nil {
		return err
	}
	return eachWorking(ctx, "status", *work, f.Args(), func(ins ledger.Commune, w *Working) error {
		fmt.Fprintf(stdout, "%d: %s\n", ins, w.figures())
		return nil
	})
}

// eachWorking opens the working directories of the named communes, of all that
// have one when none is named.
func eachWorking(ctx context.Context, act, work string, args []string, do func(ledger.Commune, *Working) error) error {
	if work == "" {
		return wrongUse(`%s: --work is missing; see "prepare %s --help"`, act, act)
	}
	files := map[ledger.Commune]string{}
	for _, c := range Communes {
		if _, err := os.Lstat(filepath.Join(WorkingDir(work, c.INS), stateFile)); err == nil {
			files[c.INS] = ""
		}
	}
	if len(args) > 0 {
		var err error
		if files, err = communesOf(job{name: act}, args); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return wrongUse("%s: %s holds no commune: begin with import", act, work)
	}
	for _, ins := range slices.Sorted(maps.Keys(files)) {
		w, err := OpenWorking(ctx, work, ins)
		if err != nil {
			return err
		}
		err = do(ins, w)
		if closed := w.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Working) figures() string {
	var placed, numbered, candidates, members int
	for i := range w.List.People {
		p := &w.List.People[i]
		placed += count(p.Bureau != 0)
		numbered += count(!p.ConvocationNumber.IsZero())
		candidates += count(p.Candidate)
		members += count(p.Member != 0)
	}
	kind := "rehearsal"
	if w.Live {
		kind = "live"
	}
	return fmt.Sprintf("version %d, %s, %d electors, %d in one of %d bureaux, %d numbered, %d candidates, %d members, %d lines of record signed by %s",
		w.Version(), kind, len(w.List.People), placed, w.Bureaux, numbered, candidates, members, w.state.Record.Lines, w.state.Record.Signer)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func runHistory(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("history", `prepare history --work DIR [--elector NUMBER] [INS ...]

Prints the record: when, who, what, why. Without --elector it names nobody; with it,
the lines about that elector follow with what they changed.

  prepare history --work communes 21014
`, stdout)
	work := workOnly(f.FlagSet)
	text := f.String("elector", "", "national `number` of the elector whose changes are asked for")
	if err := f.parse(args); err != nil {
		return err
	}
	elector := ""
	if *text != "" {
		n, err := ledger.ParseNationalNumber(*text)
		if err != nil {
			return wrongUse("history: --elector: %w", err)
		}
		elector = n.Printed()
	}
	return eachWorking(ctx, "history", *work, f.Args(), func(ins ledger.Commune, w *Working) error {
		return w.Traces(func(t *Trace) error {
			if (elector == "") != (t.Elector == "") || elector != "" && t.Elector != elector {
				return nil
			}
			fmt.Fprintf(stdout, "%d %d %s %s, by %s", ins, t.Number, t.At.Format(time.RFC3339), t.Act, t.By)
			if t.Why != "" {
				fmt.Fprintf(stdout, ", why: %s", t.Why)
			}
			if t.Act == actRefused && t.Line > 0 {
				fmt.Fprintf(stdout, ", line %d", t.Line)
			}
			for _, name := range slices.Sorted(maps.Keys(t.Details)) {
				fmt.Fprintf(stdout, ", %s %s", name, t.Details[name])
			}
			for _, name := range columns {
				if t.Before[name] != t.After[name] {
					fmt.Fprintf(stdout, "; %s: %q became %q", name, t.Before[name], t.After[name])
				}
			}
			fmt.Fprintln(stdout)
			return nil
		})
	})
}

func runList(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := newAct("list", `prepare list --work DIR --out FILE.csv INS

Writes a commune's list with bureaux and convocation numbers: for the letters, and
for the upload to ADELE.

  prepare list --work communes --out 21014.csv 21014
`, stdout)
	work := workOnly(f.FlagSet)
	out := f.String("out", "", "new `file` for the list")
	if err := f.parse(args); err != nil {
		return err
	}
	if *out == "" || f.NArg() != 1 {
		return wrongUse(`list: give --out and one commune; see "prepare list --help"`)
	}
	return eachWorking(ctx, "list", *work, f.Args(), func(ins ledger.Commune, w *Working) error {
		if err := writeFile(*out, w.List.WriteCSV); err != nil {
			return fmt.Errorf("write list: %w", err)
		}
		fmt.Fprintf(stdout, "%d: %d electors written\n", ins, len(w.List.People))
		return nil
	})
}
