package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/proxies"
	"pointage/node"
	"pointage/testnet/links"
)

// What went wrong on real polling days, each as it happened.

// outOfStep: a key lay in a drawer while the bureau worked; a spare machine gets it and the one that was in use.
func (d *day) outOfStep(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	u := d.bureaux[i]
	early := u.dir + "-early"
	if err := d.downBetween(ctx, i, 0, func() error { return copyMedia(early, u.dir, []string{"key1"}) }); err != nil {
		return err
	}
	sleep(ctx, d.while(0.2))
	return d.downBetween(ctx, i, 0, func() error {
		for _, lost := range []string{"disk", "data", "key1"} {
			if err := os.RemoveAll(filepath.Join(u.dir, lost)); err != nil {
				return err
			}
		}
		return copyMedia(u.dir, early, []string{"key1"})
	})
}

// stationBroken: nobody can be served at a bureau, whose machine is up; who queued there is sent to another.
func (d *day) stationBroken(ctx context.Context, r *rand.Rand) error {
	p := r.Perm(len(d.bureaux))
	if len(p) < 2 {
		return nil
	}
	from, to := d.bureaux[p[0]].number, d.bureaux[p[1]].number
	before := d.told.awayNow()
	d.lead(map[ledger.BureauNumber]ledger.BureauNumber{from: to})
	sleep(ctx, d.while(0.3))
	d.lead(nil)
	if d.told.awayNow() == before {
		return fmt.Errorf("nobody of bureau %d was admitted at bureau %d", from, to)
	}
	return nil
}

// A weak line's shares of the day: how long it lasts, and how long it is there and away at a time at most.
const weakShare, flapShare = 0.5, 0.03

// weakLine: thick walls, a bureau's line comes and goes.
func (d *day) weakLine(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	until := time.Now().Add(d.while(weakShare))
	for away := true; time.Now().Before(until) && ctx.Err() == nil; away = !away {
		if away {
			d.cables.CutOff([]int{i}, d.others(i))
			d.setCut([]int{i})
		} else {
			d.cables.Heal()
			d.setCut(nil)
		}
		sleep(ctx, time.Duration((0.1+0.9*r.Float64())*flapShare*float64(d.plan.Day)))
	}
	d.cables.Heal()
	d.setCut(nil)
	return nil
}

// badForms is how many bad proxies made a commune's election void in 2024.
const badForms = 359

// badProxies are forms that no table may take.
func (d *day) badProxies(ctx context.Context, r *rand.Rand) error {
	good := node.Paper{PrincipalSigned: true, HolderSigned: true, PrincipalNumber: true, HolderNumber: true, MayorOn: "2000-01-01"}
	spoilt := []func(*node.Proxy){
		func(x *node.Proxy) { x.Paper.MayorOn = "2999-12-31" },
		func(x *node.Proxy) { x.Paper.MayorOn = "" },
		func(x *node.Proxy) { x.Paper.PrincipalSigned = false },
		func(x *node.Proxy) { x.Paper.HolderSigned = false },
		func(x *node.Proxy) { x.Paper.PrincipalNumber = false },
		func(x *node.Proxy) { x.Reason = 0xff },
		func(x *node.Proxy) { x.Evidence = 0 },
		func(x *node.Proxy) { x.Holder = x.Principal },
	}
	refused := 0
	for n := 0; n < badForms && ctx.Err() == nil; n++ {
		paper := good
		holder, principal := d.register.At(r.IntN(d.register.Len())), d.register.At(r.IntN(d.register.Len()))
		x := node.Proxy{
			Holder: node.Person{By: "national", Number: holder.NationalNumber.Digits()}, Principal: node.Person{By: "national", Number: principal.NationalNumber.Digits()},
			Form: fmt.Sprintf("%d/bad-%03d", d.plan.Commune, n), Reason: uint8(proxies.StayAbroad), Evidence: uint8(proxies.Mayor), Attester: 1, Paper: &paper,
		}
		spoilt[n%len(spoilt)](&x)
		ans, err := d.bureaux[d.anyBureau(r)].CheckInProxy(ctx, x)
		switch {
		case err != nil: // that bureau is down
		case ans.Admitted || len(ans.Rules) == 0:
			return fmt.Errorf("a bad proxy, number %d, was not refused by a rule: %v", n, ans.Reason)
		default:
			refused++
		}
	}
	d.say("%d bad proxies refused", refused)
	if refused == 0 {
		return errors.New("no table looked at a bad proxy")
	}
	return nil
}

// pressedTwice: every table presses twice, and machines die right after a light that nobody else has seen.
func (d *day) pressedTwice(ctx context.Context, r *rand.Rand) error {
	d.pressTwice(true)
	defer d.pressTwice(false)
	for range 3 {
		i := d.anyBureau(r)
		d.admitHere(ctx, d.bureaux[i], 1)
		if err := d.down(ctx, i, true, 0, nil); err != nil {
			return err
		}
		sleep(ctx, d.while(0.05))
	}
	return nil
}

func (d *day) pressTwice(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.twice = on
}

func (d *day) pressesTwice() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.twice
}

// wrongRows is how many electors are marked in another's place.
const wrongRows = 5

// annulment takes back an admission of an elector: two members, and a reason's code.
type annulment struct {
	node.Identification
	Reason uint8  `json:"reason"`
	Second uint16 `json:"second"`
}

// wrongMarks: electors are told that they had voted already; two members take the mark back, and they vote.
func (d *day) wrongMarks(ctx context.Context, r *rand.Rand) error {
	u := d.bureaux[d.anyBureau(r)]
	righted := 0
	for _, v := range d.admitHere(ctx, u, wrongRows) {
		told, err := d.tryAt(ctx, v, u, attempt{visitor: v, at: u.number, second: true}, false)
		if err != nil {
			continue // its machine is down, by another fault
		}
		if told.Refusal != ledger.AlreadyAdmitted && !told.Admitted {
			return fmt.Errorf("an elector marked in another's place is told: %s", told.Reason)
		}
		done, err := u.Annul(ctx, annulment{node.Identification{By: "national", Number: d.register.At(v.elector).NationalNumber.Digits(), Attester: 1}, 2, 2})
		if err != nil {
			continue
		}
		if !done.Done {
			return fmt.Errorf("a wrong mark was not taken back: %s", done.Reason)
		}
		d.told.withdraw(v.elector)
		d.visit(ctx, v, v.home)
		righted++
	}
	d.say("%d wrong marks taken back; their electors voted", righted)
	if righted == 0 {
		return errors.New("no wrong mark was taken back")
	}
	return nil
}

func (p *process) Annul(ctx context.Context, a annulment) (out node.Correction, err error) {
	return out, p.ask(ctx, http.MethodPost, "/annulments", a, &out)
}

func (s *inProcess) Annul(ctx context.Context, a annulment) (out node.Correction, err error) {
	n, err := s.running()
	if err != nil {
		return out, err
	}
	addr, token := n.API()
	return out, askAt(ctx, http.DefaultClient, addr, token, http.MethodPost, "/annulments", a, &out)
}

// rehearsed is how many electors each bureau of the rehearsal has.
const rehearsed = 20

// rehearsalKeys: keys with the marks of a rehearsal on them are brought to the principal bureau and put into a bureau.
func (d *day) rehearsalKeys(ctx context.Context, r *rand.Rand) error {
	i := d.ordinary(r)
	u := d.bureaux[i]
	old, err := d.rehearse(ctx, i)
	if err != nil {
		return fmt.Errorf("rehearse: %w", err)
	}
	principal := d.bureaux[d.index[d.prepared.Commune.Principal]]
	for _, keys := range []*bureau{u, old} {
		pass, err := readPassphrase(keys)
		if err != nil {
			return err
		}
		got, err := principal.Import(ctx, node.OldMedia{Bureau: u.number, Keys: keys.config.Keys, Passphrase: pass, Media: []string{filepath.Join(old.dir, "key1"), filepath.Join(old.dir, "key2")}})
		if err == nil {
			return fmt.Errorf("the marks of a rehearsal were taken in: %+v", *got)
		}
	}
	key, kept := filepath.Join(u.dir, "key2"), filepath.Join(u.dir, "key2.kept")
	if err := u.Stop(); err != nil {
		return err
	}
	if err := os.Rename(key, kept); err != nil {
		return err
	}
	if err := copyMedia(u.dir, old.dir, []string{"key2"}); err != nil {
		return err
	}
	err = u.Start(context.WithoutCancel(ctx))
	if err == nil {
		return nil // it goes on with the other two
	}
	if !strings.Contains(err.Error(), "key2") {
		return fmt.Errorf("a rehearsal's key is not named: %w", err)
	}
	d.say("bureau %d: %v", u.number, err)
	if err := errors.Join(os.RemoveAll(key), os.Rename(kept, key)); err != nil {
		return err
	}
	return u.Start(context.WithoutCancel(ctx))
}

// rehearse has a bureau of an election of its own admit its electors, and stops it.
func (d *day) rehearse(ctx context.Context, i int) (*bureau, error) {
	n := len(d.bureaux)
	o := &day{
		plan: Plan{Commune: d.plan.Commune, Bureaux: n, Electors: n * rehearsed, Seed: d.plan.Seed + 1, Out: filepath.Join(d.plan.Out, "bureaux", "rehearsal")},
		free: d.free, attached: d.attached, index: map[ledger.BureauNumber]int{}, told: newTold(), began: d.began, verified: d.verified, witnessURL: "http://127.0.0.1:1",
	}
	o.cables = links.New(func(to int) string { return o.bureaux[to].listen })
	if err := o.prepare(ctx); err != nil {
		return nil, err
	}
	err := errors.Join(o.layOut(), o.rehearseAt(ctx, i), o.close())
	if err != nil {
		return nil, err
	}
	return o.bureaux[i], nil
}

func (d *day) rehearseAt(ctx context.Context, i int) (err error) {
	u := d.bureaux[i]
	if d.register, err = d.openRegister(u.number); err != nil {
		return err
	}
	if err := u.Start(ctx); err != nil {
		return err
	}
	if err := u.Open(ctx); err != nil {
		return err
	}
	for e := range d.register.Len() {
		if v := (&visitor{elector: e, home: d.register.Bureau(e)}); v.home == u.number {
			if _, err := d.tryAt(ctx, v, u, attempt{visitor: v, at: u.number}, false); err != nil {
				return err
			}
		}
	}
	if d.told.double() > 0 || len(d.told.admitted) == 0 {
		return fmt.Errorf("%d were admitted", len(d.told.admitted))
	}
	return nil
}
