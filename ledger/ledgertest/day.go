// Package ledgertest makes small elections, polling days and exports from fixed keys,
// for tests of whatever reads them.
package ledgertest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
)

// Opens is when the poll of every test election opens: 2024-10-13 08:00 in Brussels.
const Opens ledger.Instant = 1_728_799_200_000

// INS is the commune of every test election.
const INS ledger.Commune = 21014

// WitnessName is the note key name of the election's witness.
const WitnessName = "adele.test/witness"

// Key is a key pair that everybody can make from its name.
func Key(name string) ed25519.PrivateKey {
	s := sha256.Sum256([]byte("pointage test key " + name))
	return ed25519.NewKeyFromSeed(s[:])
}

func public(name string) ed25519.PublicKey { return Key(name).Public().(ed25519.PublicKey) }

// DeviceName and CosignerName name the keys of a bureau's incarnation for Key.
func DeviceName(n ledger.BureauNumber, i ledger.Incarnation) string {
	return fmt.Sprintf("device %d.%d", n, i)
}

// CosignerName is DeviceName for the cosigner's key.
func CosignerName(n ledger.BureauNumber, i ledger.Incarnation) string {
	return fmt.Sprintf("cosigner %d.%d", n, i)
}

// Elector is the token of the i-th elector, who is at home at bureau 1 + i mod bureaux.
func Elector(i int) ledger.ElectorToken {
	return sha256.Sum256(fmt.Appendf(nil, "pointage test elector %d", i))
}

// Manifest is the manifest of a test election of one commune.
func Manifest(bureaux int, roll *ledger.Roll) *election.Manifest {
	c := election.Commune{
		INS: INS, NameFR: "Saint-Josse-ten-Noode", NameNL: "Sint-Joost-ten-Node", Principal: 1, Deputy: 2,
		LogKey: public("log"), Roll: roll.Hash(), Register: sha256.Sum256([]byte("register")),
		Addresses: sha256.Sum256([]byte("addresses")), Electors: uint32(roll.Len()),
	}
	for n := ledger.BureauNumber(1); int(n) <= bureaux; n++ {
		b := election.Bureau{Number: n, Place: fmt.Sprintf("École %d", n)}
		for i := range b.Keys {
			inc := ledger.Incarnation(i)
			b.Keys[i] = election.MachineKeys{Device: public(DeviceName(n, inc)), Cosigner: public(CosignerName(n, inc))}
		}
		c.Bureaux = append(c.Bureaux, b)
		if n <= election.MaxVoting {
			c.Voting = append(c.Voting, n)
		}
	}
	w := ledger.CosignerKey(WitnessName, public("witness"))
	return &election.Manifest{
		Election: "test-2024", Kind: election.Rehearsal, Policy: election.Strict, Where: election.FreeChoice, Modulo97: 1,
		Opens: Opens, Closes: Opens + 8*3600*1000, BarrierMillis: 1000,
		Witnesses: []election.Witness{{VKey: w.VKey(), URL: "https://adele.test/"}},
		Signatories: []election.Signatory{
			{Number: 1, Commune: INS, Bureau: 1, Key: public("signatory 1")},
			{Number: 2, Commune: INS, Bureau: 3, Key: public("signatory 2")},
		},
		Communes: []election.Commune{c},
	}
}

// Day is a polling day under way; whoever made it owns it.
type Day struct {
	tb       testing.TB
	Manifest *election.Manifest
	// File is the signed manifest.
	File    []byte
	Roll    *ledger.Roll
	Group   *ledger.Group
	View    *ledger.MemoryView
	Entries []ledger.PlacedEntry
	// Anchors are the cosigned checkpoints so far, oldest first.
	Anchors [][]byte
	// Epoch is the one that Entries and Anchors are of.
	Epoch uint8
	// hashes is the tree, in x/mod's numbering.
	hashes storedHashes
	// earlier are the files of the epochs before, seeds how they went on.
	earlier map[string][]byte
	seeds   []pastEpoch
}

// pastEpoch is an epoch's entries up to the seed of the next.
type pastEpoch struct {
	entries []ledger.PlacedEntry
	seed    *ledger.Seed
	root    ledger.Hash
}

// NewDay is a day of 2 bureaux or more with its genesis placed. change may alter the
// manifest before it is signed; nil leaves it.
func NewDay(tb testing.TB, bureaux, electors int, change func(*election.Manifest)) *Day {
	tb.Helper()
	var rows []ledger.RollRow
	for i := range electors {
		rows = append(rows, ledger.RollRow{Elector: Elector(i), Home: ledger.BureauNumber(1 + i%bureaux)})
	}
	roll, err := ledger.NewRoll(rows)
	if err != nil {
		tb.Fatal(err)
	}
	m := Manifest(bureaux, roll)
	if change != nil {
		change(m)
	}
	d := &Day{tb: tb, Manifest: m, Roll: roll, View: ledger.NewMemoryView()}
	if d.File, err = m.Sign(Key("authority")); err != nil {
		tb.Fatal(err)
	}
	if d.Group, err = m.Group(election.Hash(d.File), INS, roll); err != nil {
		tb.Fatal(err)
	}
	d.add(ledger.Begin(d.Group, d.View))
	return d
}

// Place decodes, verifies and places a batch.
func (d *Day) Place(b *ledger.Batch) ledger.Answer {
	d.tb.Helper()
	again, err := ledger.DecodeBatch(b.Encode())
	if err != nil {
		d.tb.Fatal(err)
	}
	if err := again.Verify(d.Group); err != nil {
		d.tb.Fatal(err)
	}
	ans, out := ledger.Place(d.Group, d.View, again)
	d.add(out...)
	return ans
}

// Chain is one session of a bureau, as the bureau knows it.
type Chain struct {
	day    *Day
	Author ledger.Author
	At     ledger.Point
	// Time is the next batch's.
	Time ledger.Instant
}

// Session is a session that has not begun.
func (d *Day) Session(n ledger.BureauNumber, session byte) *Chain {
	return &Chain{day: d, Author: ledger.Author{Bureau: n, Session: ledger.SessionID{session}}, Time: Opens}
}

// Started is the bureau's first session, its opening placed.
func (d *Day) Started(n ledger.BureauNumber) *Chain {
	d.tb.Helper()
	c := d.Session(n, byte(n))
	c.Put(&ledger.SessionOpened{Generation: 1, Media: 3})
	return c
}

// Sign makes the chain's next batch.
func (c *Chain) Sign(bodies ...ledger.Body) *ledger.Batch {
	c.day.tb.Helper()
	ss := make([]ledger.Statement, 0, len(bodies))
	for _, b := range bodies {
		ss = append(ss, ledger.NewStatement(c.Time, b))
	}
	b, err := ledger.Sign(Key(DeviceName(c.Author.Bureau, c.Author.Incarnation)), c.day.Group, c.Author, c.At, ss)
	if err != nil {
		c.day.tb.Fatal(err)
	}
	c.At = ledger.Point{Next: b.Header.Next(), Previous: b.Header.Identity()}
	c.Time += 60_000
	return b
}

// Put signs and places.
func (c *Chain) Put(bodies ...ledger.Body) ledger.Answer {
	c.day.tb.Helper()
	return c.day.Place(c.Sign(bodies...))
}

// Head is the end of the chain, for a session that goes on from it.
func (c *Chain) Head() *ledger.Head {
	return &ledger.Head{Session: c.Author.Session, Next: c.At.Next, Hash: c.At.Previous}
}

// Admission is the i-th elector's, with nonce 0.
func Admission(i int) *ledger.Admission {
	return &ledger.Admission{Elector: Elector(i), Means: ledger.ByCard, Attester: 1}
}

// Amend is an amendment signed by both signatories.
func (d *Day) Amend(a ledger.Amendment) *ledger.Amendment {
	a.Signers = [2]uint16{1, 2}
	msg := a.SignedBytes(d.Group.Manifest, d.Group.Commune)
	copy(a.Signatures[0][:], ed25519.Sign(Key("signatory 1"), msg))
	copy(a.Signatures[1][:], ed25519.Sign(Key("signatory 2"), msg))
	return &a
}
