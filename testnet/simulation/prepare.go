package simulation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node"
	"pointage/tools/prepare/preparation"
)

// barrier is D in a simulated election: the law's second, not compressed.
const barrier = time.Second

// prepare makes the election, or takes one that was made before. The output directory is
// emptied only when nothing can be wrong with the words any longer.
func (d *day) prepare(ctx context.Context) (err error) {
	if d.plan.Election != "" {
		return d.take(ctx)
	}
	list, err := d.list(ctx)
	if err != nil {
		return err
	}
	if err := claimOut(d.plan.Out, ""); err != nil {
		return err
	}
	d.election = filepath.Join(d.plan.Out, "election")
	if err := d.make(ctx, list); err != nil {
		return err
	}
	if d.prepared, err = node.ReadPrepared(d.election, d.plan.Commune); err != nil {
		return err
	}
	return d.agree()
}

// take reads an election that was prepared before; it may lie in the output directory.
func (d *day) take(ctx context.Context) (err error) {
	if d.election, err = filepath.Abs(d.plan.Election); err != nil {
		return err
	}
	if d.prepared, err = node.ReadPrepared(d.election, d.plan.Commune); err != nil {
		return err
	}
	if d.plan.Register != "" {
		list, err := d.list(ctx)
		if err != nil {
			return err
		}
		d.plan.Electors = len(list.People)
	}
	if err := d.agree(); err != nil {
		return err
	}
	return claimOut(d.plan.Out, d.election)
}

// agree compares the flags with the election that they were repeated for.
func (d *day) agree() error {
	c := d.prepared.Commune
	if d.plan.Bureaux != 0 && d.plan.Bureaux != len(c.Bureaux) {
		return fmt.Errorf("--bureaux %d: the election in %s has %d", d.plan.Bureaux, d.election, len(c.Bureaux))
	}
	if d.plan.Electors != 0 && d.plan.Electors != int(c.Electors) {
		return fmt.Errorf("%d electors: the election in %s has %d", d.plan.Electors, d.election, c.Electors)
	}
	if d.plan.AnchorKey != "" && d.plan.AnchorKey != d.prepared.Manifest.Witnesses[0].VKey {
		return fmt.Errorf("--anchor-key is not the witness key of the election in %s", d.election)
	}
	if d.prepared.Manifest.Kind != election.Rehearsal {
		return errors.New("this election is live: only a rehearsal can be simulated")
	}
	d.plan.Bureaux, d.plan.Electors = len(c.Bureaux), int(c.Electors)
	return nil
}

// list imports the register's file, or synthetic electors by the same way.
func (d *day) list(ctx context.Context) (*preparation.List, error) {
	var in io.Reader
	if d.plan.Register != "" {
		f, err := os.Open(d.plan.Register)
		if err != nil {
			return nil, fmt.Errorf("--register: %w", err)
		}
		defer f.Close()
		in = bufio.NewReader(f)
	} else {
		r, w := io.Pipe()
		defer r.Close()
		go func() { w.CloseWithError(preparation.Synthetic(w, d.plan.Seed, d.plan.Commune, d.plan.Electors)) }()
		in = r
	}
	list, bad, err := preparation.Import(ctx, in, preparation.Rules{Commune: d.plan.Commune})
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		if d.plan.Text != nil {
			for _, b := range bad {
				fmt.Fprintln(d.plan.Text, b)
			}
		}
		return nil, fmt.Errorf("--register: %d bad rows: correct them, nothing was imported", len(bad))
	}
	return list, nil
}

// make divides, numbers and seals.
func (d *day) make(ctx context.Context, list *preparation.List) error {
	skey, vkey := "", d.plan.AnchorKey
	url := d.plan.Anchor
	if vkey == "" {
		var err error
		if skey, vkey, err = drawAdele(); err != nil {
			return err
		}
		url = "http://127.0.0.1:8010" // where a bureau started by hand would look; the day gives its own
	}
	if err := list.Divide(d.plan.Bureaux); err != nil {
		return err
	}
	method := list.Method
	if method == 0 {
		method = ledger.Complement
	}
	if err := list.Number(method); err != nil {
		return err
	}
	opens := time.Now().Truncate(time.Hour)
	_, err := preparation.Make(ctx, d.election, preparation.Order{
		Election: "testnet-" + opens.UTC().Format("20060102"), Policy: election.Strict, Where: election.FreeChoice,
		Method: method, Opens: ledger.Instant(opens.UnixMilli()), Closes: ledger.Instant(opens.Add(8 * time.Hour).UnixMilli()),
		Barrier: barrier, Witnesses: []election.Witness{{VKey: vkey, URL: url}},
		Groups: []preparation.Group{{List: list}}, Simulation: true,
	})
	if err != nil {
		return err
	}
	if skey != "" {
		if err := os.WriteFile(filepath.Join(d.election, adeleKeyFile), []byte(strings.TrimSpace(skey)+"\n"), 0o600); err != nil {
			return fmt.Errorf("keep the witness's key: %w", err)
		}
	}
	d.say("prepared: %d electors in %s", len(list.People), d.election)
	return nil
}
