package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/tools/prepare/preparation"
)

// signatories are two persons who may sign for the commune, with what opens their keys.
func (d *day) signatories() (out []node.Signing, err error) {
	dir := filepath.Join(d.election, strconv.Itoa(int(d.plan.Commune)))
	c := d.prepared.Commune
	for _, s := range d.prepared.Manifest.Signatories {
		if s.Commune != d.plan.Commune || len(out) == 2 || len(out) == 0 && s.Bureau != c.Principal && s.Bureau != c.Deputy {
			continue
		}
		file := preparation.SignatoryFile(s.Number)
		pass, err := os.ReadFile(filepath.Join(dir, preparation.PassphraseFile+"-"+strings.TrimSuffix(file, ".age")))
		if err != nil {
			return nil, fmt.Errorf("read a signatory's passphrase: %w", err)
		}
		out = append(out, node.Signing{Key: filepath.Join(dir, file), Passphrase: strings.TrimSpace(string(pass))})
	}
	if len(out) != 2 {
		return nil, errors.New("the election has no two signatories for the commune")
	}
	return out, nil
}

// majorityGone: the machines of most voting members burn, with ledgers and Raft's logs. Their keys are safe,
// and spares open with them; but nobody can commit any more, until a new epoch is begun.
func (d *day) majorityGone(ctx context.Context, r *rand.Rand) error {
	ctx = context.WithoutCancel(ctx) // a commune does not go home without a group
	signers, err := d.signatories()
	if err != nil {
		return err
	}
	c := d.prepared.Commune
	voting := slices.DeleteFunc(slices.Clone(c.Voting), func(b ledger.BureauNumber) bool { return b == c.Principal })
	r.Shuffle(len(voting), func(i, j int) { voting[i], voting[j] = voting[j], voting[i] })
	gone := voting[:min(len(voting), len(c.Voting)/2+1)]
	for _, b := range gone {
		if err := d.burn(d.bureaux[d.index[b]]); err != nil {
			return fmt.Errorf("bureau %d: %w", b, err)
		}
	}
	for _, b := range gone {
		if err := d.bureaux[d.index[b]].Start(ctx); err != nil {
			return fmt.Errorf("start the spare of bureau %d: %w", b, err)
		}
	}
	d.setCut(nil)
	sleep(ctx, d.while(0.15))
	principal := d.bureaux[d.index[c.Principal]]
	if err := leaderless(ctx, principal); err != nil {
		return err
	}
	next, err := principal.Recover(ctx, signers)
	if err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	d.say("epoch %d goes on from %d entries", next.Epoch, next.Entries)
	return nil
}

// burn kills a machine between two electors; what is left are the keys.
func (d *day) burn(u *bureau) error {
	u.tables.Lock()
	defer u.tables.Unlock()
	if err := u.Kill(); err != nil {
		return err
	}
	for _, lost := range []string{"disk", "data"} {
		if err := os.RemoveAll(filepath.Join(u.dir, lost)); err != nil {
			return err
		}
	}
	return nil
}

// leaderless waits until a bureau knows of no leader.
func leaderless(ctx context.Context, u *bureau) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	for {
		s, err := u.Status(ctx)
		if err == nil && s.Leader == 0 {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("after %v a group without its majority still has leader %d (%w)", groupTimeout, s.Leader, err)
		}
	}
}

// pouchesSwapped: two pouches are delivered to each other's rooms, where electors stand before the
// wrong bureau, until two amendments tell everybody where each sits.
func (d *day) pouchesSwapped(ctx context.Context, r *rand.Rand) error {
	signers, err := d.signatories()
	if err != nil {
		return err
	}
	p := r.Perm(len(d.bureaux))
	if len(p) < 2 {
		return nil
	}
	a, b := d.prepared.Commune.Bureaux[p[0]], d.prepared.Commune.Bureaux[p[1]]
	d.lead(map[ledger.BureauNumber]ledger.BureauNumber{a.Number: b.Number, b.Number: a.Number})
	sleep(ctx, d.while(0.15))
	ctx = context.WithoutCancel(ctx)
	principal := d.bureaux[d.index[d.prepared.Commune.Principal]]
	for n, place := range map[ledger.BureauNumber]string{a.Number: b.Place, b.Number: a.Place} {
		if place == "" {
			place = fmt.Sprintf("Local %d", a.Number+b.Number-n)
		}
		got, err := principal.Amend(ctx, node.Amendment{Act: "relabel", Bureau: n, Place: place, Signers: signers})
		if err != nil {
			return fmt.Errorf("say where bureau %d sits: %w", n, err)
		}
		d.say("amendment %d: bureau %d sits in the room of bureau %d", got.Number, n, a.Number+b.Number-n)
	}
	d.lead(nil)
	return nil
}

// lead has those who look for one bureau come to another; nil for each to his own.
func (d *day) lead(doors map[ledger.BureauNumber]ledger.BureauNumber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doors = doors
}

// door is the bureau that an elector meets who goes to where he believes one to be.
func (d *day) door(to ledger.BureauNumber) ledger.BureauNumber {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other, led := d.doors[to]; led {
		return other
	}
	return to
}
