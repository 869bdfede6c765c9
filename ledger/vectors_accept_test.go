package ledger_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/ledger/plaintext"
)

// maker collects vectors over one election of three bureaux and twelve electors.
type maker struct {
	t   *testing.T
	day *ledgertest.Day
	all []vector
}

func newVectorDay(t *testing.T) *ledgertest.Day { return ledgertest.NewDay(t, 3, 12, nil) }

func makeVectors(t *testing.T) (setting, []vector) {
	t.Helper()
	m := &maker{t: t, day: newVectorDay(t)}
	ledgertest.Full(m.day)
	s := setting{Manifest: hex.EncodeToString(m.day.File), Roll: hex.EncodeToString(m.day.Roll.Encode()), Commune: ledgertest.INS}
	m.acceptStatements()
	m.acceptFiles()
	m.acceptNumbers()
	m.acceptPlaces()
	m.acceptRecovery()
	m.acceptMinutes()
	m.rejectStatements()
	m.rejectBatches()
	m.rejectExtracts()
	m.rejectEntries()
	m.acceptWords()
	m.rejectWords()
	m.rejectFiles()
	m.rejectNumbers()
	m.rejectPlaces()
	m.rejectExports()
	return s, m.all
}

// accept adds an input with what it gives.
func (m *maker) accept(kind, name, says string, in []byte) {
	m.t.Helper()
	v := vector{Name: name, Says: says, Kind: kind, Input: hex.EncodeToString(in)}
	stage, gives := judge(m.t, m.day.Group, v)
	if stage != "" {
		m.t.Fatalf("%s is refused: %s", name, stage)
	}
	v.Gives = gives
	m.all = append(m.all, v)
}

func (m *maker) reject(kind, name, says, stage string, in []byte) {
	m.all = append(m.all, vector{Name: name, Says: says, Kind: kind, Input: hex.EncodeToString(in), Refused: stage})
}

// must is a value made without an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (m *maker) statement(b ledger.Body) []byte {
	return must(ledger.NewStatement(ledgertest.Opens, b).Encode())
}

func (m *maker) acceptStatements() {
	seen := map[ledger.Kind]bool{}
	add := func(b ledger.Body) {
		k := b.Kind()
		seen[k] = true
		name := fmt.Sprintf("statement-%02d-%s", k, strings.ReplaceAll(k.String(), " ", "-"))
		m.accept("statement", name, "a statement of this kind", m.statement(b))
	}
	for _, e := range m.day.Entries {
		if e.Batch == nil {
			continue
		}
		for _, s := range e.Batch.Statements {
			if !seen[s.Body.Kind()] {
				add(s.Body)
			}
		}
	}
	one, clone := newVectorDay(m.t).Session(1, 1), newVectorDay(m.t).Session(1, 1)
	one.Sign(&ledger.SessionOpened{Generation: 1, Media: 3})
	b := clone.Sign(&ledger.SessionOpened{Generation: 1, Media: 5})
	a := newVectorDay(m.t).Session(1, 1).Sign(&ledger.SessionOpened{Generation: 1, Media: 3})
	add(&ledger.Orphan{Head: *one.Head(), From: 0})
	add(&ledger.Evidence{First: a.SignedHeader(), Second: b.SignedHeader()})
	add(&ledger.Provisional{Elector: ledgertest.Elector(0), Reason: 1, Means: ledger.ByCard, Attester: 1})
	add(&ledger.Imported{Bureau: 2, Incarnation: 1, Generation: 3, Media: 5})
	add(&ledger.Settled{Incarnation: 0, Head: one.Head(), Generation: 2, Media: 6})
	x, y := m.applied(), m.applied()
	y.Applied.Head[0] ^= 1
	add(&ledger.Equivocation{First: x.Encode(), Second: y.Encode()})
	add(&ledger.Minutes{Bureau: 2, Named: true, UpTo: ledger.Reference(1, 512), Own: 77, French: ledger.Hash{1}, Dutch: ledger.Hash{2}})
	m.accept("statement", "statement-minutes-of-the-commune", "bureau 0 is the commune; without the members' names",
		m.statement(&ledger.Minutes{UpTo: 1, French: ledger.Hash{1}, Dutch: ledger.Hash{2}}))
	m.accept("statement", "statement-incident-chip-not-proven", "code 5 of an admission by card: not sealed, and its time is rounded",
		m.statement(&ledger.Incident{Code: ledger.IncidentOfAnElector, Sealed: (&plaintext.ChipNotProven{
			Bureau: 1, Record: ledger.StatementID{Session: ledger.SessionID{1}, Sequence: 7}, Elector: ledgertest.Elector(0),
		}).Encode()}))
	m.accept("statement", "statement-settled-without-a-head", "the media of the incarnation before hold no batch",
		m.statement(&ledger.Settled{Generation: 1, Media: 3}))
	m.accept("statement", "statement-session-continues", "a session that goes on from an earlier one's head",
		m.statement(&ledger.SessionOpened{Continues: one.Head(), Generation: 2, Media: 7, Unfenced: true}))
	m.accept("statement", "statement-annulment-of-a-proxy", "both rights of a proxy, the principal's admit right first",
		m.statement(&ledger.Annulment{
			Rights: []ledger.Right{{Elector: ledgertest.Elector(4), Kind: ledger.Admit}, {Elector: ledgertest.Elector(1), Kind: ledger.Carry}},
			Reason: 2, Attesters: [2]uint16{1, 2},
		}))
	for k := ledger.KindSessionOpened; k <= ledger.KindMinutes; k++ {
		if !seen[k] {
			m.t.Errorf("no statement of kind %v among the vectors", k)
		}
	}
}

func (m *maker) acceptFiles() {
	for i, e := range m.day.Entries {
		if i == 0 || i == 4 || i == 12 {
			m.accept("entry", fmt.Sprintf("entry-%02d", i), "an entry of a day", e.Encoded)
		}
	}
	b := m.day.Entries[4].Batch
	m.accept("batch", "batch-of-three", "a batch of several statements", b.Encode())
	m.accept("extract", "extract-of-three", "the second statement of that batch, with its path", must(b.Extract(1).Encode()))
	single := m.day.Entries[6].Batch
	m.accept("extract", "extract-of-one", "a batch's only statement: the path is empty", must(single.Extract(0).Encode()))
	m.accept("entry", "entry-evidence", "a batch that contradicts an earlier one", m.evidence())
	m.accept("entry", "entry-genesis-epoch-2", "the genesis of a later epoch, with its seed", recovered(m.t).Entries[0].Encoded)
	m.accept("roll", "roll", "twelve electors", m.day.Roll.Encode())
	m.accept("roll", "roll-empty", "no electors", nil)
	m.accept("manifest", "manifest", "the manifest of these vectors", m.day.File)
	m.accept("manifest", "manifest-pay-office", "version 2: the commune has a pay office", m.withPayOffice(payOffice))
	m.accept("checkpoint", "checkpoint", "signed by the log, cosigned by three bureaux and the witness", m.day.Anchors[0])
	m.accept("checkpoint", "checkpoint-log-alone", "signed by the log alone", must(ledger.SignCheckpoint(m.day.Checkpoint(), ledgertest.Key("log"))))
	for i, a := range []ledger.Answer{
		{Status: ledger.Placed, Position: 9, Verdicts: []ledger.Verdict{{}, {Class: ledger.Forked, Against: 3}}},
		{Status: ledger.Rejected, Reason: ledger.ParkingFull},
	} {
		m.accept("answer", fmt.Sprintf("answer-%d", i), "the apply result of a batch", a.Encode())
	}
	small := newVectorDay(m.t)
	ledgertest.Short(small)
	m.all = append(m.all, vector{Name: "export-recovered", Says: "a day in three epochs", Kind: "export", Files: hexFiles(recovered(m.t).Export())})
	m.all = append(m.all, vector{Name: "export", Says: "a whole export", Kind: "export", Files: hexFiles(small.Export())})
}

// applied and answered are words of bureau 1.
func (m *maker) applied() *ledger.Word {
	return ledger.SignApplied(ledgertest.Key(ledgertest.DeviceName(1, 0)), m.day.Group, ledger.Member{Bureau: 1}, ledger.ReadHead(m.day.View))
}

func (m *maker) answered() *ledger.Word {
	b := m.day.Entries[4].Batch
	return ledger.SignAnswered(ledgertest.Key(ledgertest.DeviceName(1, 0)), m.day.Group, ledger.Member{Bureau: 1}, 0, b, ledger.Reanswer(m.day.View, b))
}

func (m *maker) acceptWords() {
	m.accept("word", "word-applied", "how far a member's chain goes", m.applied().Encode())
	m.accept("word", "word-answered", "the leader's answer for a batch", m.answered().Encode())
	a, b := m.day.Entries[1].Batch, m.day.Entries[4].Batch
	m.accept("heads", "heads", "two headers with their signatures", must(ledger.EncodeHeads([]ledger.SignedHeader{a.Signed(), b.Signed()})))
	m.accept("chain request", "chain-request", "an author's batches from a sequence number up to another",
		ledger.ChainRequest{Author: b.Header.Author, From: 1, To: 9}.Encode())
	m.accept("chain answer", "chain-answer", "two batches of it, and there is more", (&ledger.ChainAnswer{More: true, Batches: []*ledger.Batch{a, b}}).Encode())
	m.accept("chain answer", "chain-answer-nothing", "the peer has none of it", (&ledger.ChainAnswer{}).Encode())
}

func hexFiles(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, b := range files {
		out[name] = hex.EncodeToString(b)
	}
	return out
}

func (m *maker) number(kind, name, says, text, stage string) {
	v := vector{Name: name, Says: says, Kind: kind, Input: text, Refused: stage}
	if stage == "" {
		_, v.Gives = judge(m.t, m.day.Group, v)
	}
	m.all = append(m.all, v)
}

func (m *maker) acceptNumbers() {
	for name, text := range map[string]string{
		"1985": "85.07.30-033.28", "2017": "17073003384", "1925": "25.04.16-123.47", "2025": "25.04.16-123.76",
		"remainder-0": "80 01 01 008 97", "bis": "98.47.28-997.65",
	} {
		m.number("national number", "national-"+name, "a national number", text, "")
	}
	m.number("convocation number, complement", "convocation-complement", "check digits 97 - n mod 97", "01 00001 06", "")
	m.number("convocation number, remainder", "convocation-remainder", "check digits n mod 97", "01 00001 91", "")
	m.number("convocation number, complement", "convocation-97-complement", "97 where n is a multiple of 97", "01 00007 97", "")
	m.number("convocation number, remainder", "convocation-97-remainder", "97 in place of 0", "01 00007 97", "")
}

// places adds a sequence of batches with what becomes of each.
func (m *maker) places(name, says string, batches ...*ledger.Batch) {
	m.t.Helper()
	v := vector{Name: "places-" + name, Says: says, Kind: "places"}
	for _, b := range batches {
		v.Steps = append(v.Steps, step{Batch: hex.EncodeToString(b.Encode())})
	}
	steps, head := replay(m.t, m.day.Group, v.Steps)
	v.Steps, v.Head = steps, head.String()
	m.all = append(m.all, v)
}

// batches are those of a day so far, in the order of their placing.
func batches(d *ledgertest.Day) (out []*ledger.Batch) {
	for _, e := range d.Entries {
		if e.Batch != nil {
			out = append(out, e.Batch)
		}
	}
	return out
}

func (m *maker) acceptPlaces() {
	m.places("full-day", "a day with home and away admissions, a proxy, a void, an annulment, an amendment", batches(m.day)...)
	open := func() ledger.Body { return &ledger.SessionOpened{Generation: 1, Media: 3} }

	d := newVectorDay(m.t)
	d.Started(1).Put(ledgertest.Admission(0))
	d.Started(2).Put(ledgertest.Admission(0))
	m.places("double", "a second admission elsewhere: not held, and the class names the first", batches(d)...)

	d = newVectorDay(m.t)
	c := d.Session(1, 1)
	a, b, e := c.Sign(open()), c.Sign(ledgertest.Admission(0)), c.Sign(ledgertest.Admission(3))
	m.places("out-of-order", "batches that come too early wait; the opening releases all three", e, b, a)
	m.places("again", "the same batch again gets the same answer and makes no entry", a, b, b)

	d = newVectorDay(m.t)
	one, three := d.Started(1), d.Started(3)
	one.Put(d.Amend(ledger.Amendment{Number: 1, Act: ledger.Retire, Bureau: 3}))
	three.Put(ledgertest.Admission(2))
	one.Put(d.Amend(ledger.Amendment{Number: 3, Act: ledger.Enrol, Bureau: 3}))
	forged := d.Amend(ledger.Amendment{Number: 2, Act: ledger.Enrol, Bureau: 3})
	forged.Signatures[1] = forged.Signatures[0]
	one.Put(forged)
	m.places("amendments", "after a retirement; a number out of turn; one person for two", batches(d)...)

	d = newVectorDay(m.t)
	c = d.Started(1)
	head := c.Head()
	next := d.Session(1, 9)
	next.At.Previous = head.Hash
	next.Put(&ledger.SessionOpened{Continues: head, Generation: 1, Media: 3})
	c.Put(ledgertest.Admission(0))
	next.Put(ledgertest.Admission(3))
	m.places("fork", "a session goes on after another has gone on from its head", batches(d)...)

	d = newVectorDay(m.t)
	one, two := d.Started(1), d.Started(2)
	right := ledger.Right{Elector: ledgertest.Elector(0), Kind: ledger.Admit}
	rel := one.Sign(&ledger.Release{Right: right, To: 3})
	d.Place(rel)
	x := must(rel.Extract(0).Encode())
	two.Put(&ledger.Hold{Right: right, Release: x}, ledgertest.Admission(0), &ledger.Provisional{Elector: ledgertest.Elector(11), Means: ledger.ByCard},
		&ledger.Admission{Elector: ledger.ElectorToken{1}, Means: ledger.ByCard}, &ledger.Anchored{Size: 1},
		&ledger.AttemptRefused{Elector: ledgertest.Elector(3), Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Denial: x})
	m.places("invalid", "a release to another, a right not held, a policy, no elector, no office, a denial about somebody else", batches(d)...)
}

func (m *maker) acceptMinutes() {
	d := newVectorDay(m.t)
	one, two, three := d.Started(1), d.Started(2), d.Started(3)
	of := func(n ledger.BureauNumber) *ledger.Minutes { return &ledger.Minutes{Bureau: n, UpTo: 4} }
	three.Put(of(3), of(2), of(0))
	two.Put(of(2), of(3), of(0), of(4))
	one.Put(of(1), of(3), of(0), of(4))
	m.places("minutes", "a bureau's by itself, by another, by the deputy and the principal; the commune's; those of a bureau that is none", batches(d)...)
}

func (m *maker) acceptRecovery() {
	d := newVectorDay(m.t)
	c := d.Started(1)
	twin := *c
	c.Put(ledgertest.Admission(0))
	d.Place(twin.Sign(ledgertest.Admission(3)))
	c.Put(ledgertest.Admission(6))
	m.places("after-evidence", "the session's line in the ledger goes on after evidence against it", batches(d)...)

	d = newVectorDay(m.t)
	one, two := d.Started(1), d.Started(2)
	lost := two.Sign(ledgertest.Admission(1))
	waits := two.Sign(ledgertest.Admission(4))
	imported := one.Sign(&ledger.Imported{Bureau: 2, Generation: 1, Media: 3})
	m.places("imported", "what waits is placed across the gap after the import; what fills the gap comes late",
		append(batches(d), waits, imported, lost, two.Sign(ledgertest.Admission(7)))...)

	d = newVectorDay(m.t)
	one = d.Started(1)
	head := *one
	tail := one.Sign(ledgertest.Admission(0))
	after := next(d, &head, 9)
	m.places("orphan", "a listed tail has no effect; what comes behind the listing is a fork",
		append(batches(d), after.Sign(continues(&head), &ledger.Orphan{Head: *one.Head(), From: 1}), tail, after.Sign(ledgertest.Admission(0)), one.Sign(ledgertest.Admission(3)))...)

	d = newVectorDay(m.t)
	old := d.Started(1)
	last := old.Sign(ledgertest.Admission(0))
	second := second(d, 1, 1, 11)
	settled := second.Sign(ledgertest.Admission(3), settles(0, old))
	fenced := next(d, second, 12)
	m.places("settled", "a next incarnation: unfenced, waiting for the chain that it takes over, fenced; the old one is a fork then",
		append(batches(d), settled, last, fenced.Sign(continues(second), ledgertest.Admission(0), ledgertest.Admission(6)), old.Sign(ledgertest.Admission(9)))...)
}

// payOffice is a hybrid age recipient that somebody drew; nobody has its identity.
var payOffice = "age1pq1" + strings.Repeat("qpzry9x8gf2tvdw0s3jn54khce6mua7l", 61)

// withPayOffice is the manifest of these vectors with a pay office, signed anew.
func (m *maker) withPayOffice(recipient string) []byte {
	changed := *m.day.Manifest
	changed.Communes = slices.Clone(changed.Communes)
	changed.Communes[0].PayOffice = recipient
	return must(changed.Sign(ledgertest.Key("authority")))
}
