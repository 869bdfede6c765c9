package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
)

// day is a commune of bureaux with known keys, for tests: elector i is at home at bureau 1+i%n.
type day struct {
	t    *testing.T
	g    *Group
	v    *MemoryView
	keys map[BureauNumber]ed25519.PrivateKey
	log  ed25519.PrivateKey
	// out are all the entries placed so far.
	out []PlacedEntry
}

func testKey(name string) ed25519.PrivateKey {
	s := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(s[:])
}

func testElector(i int) ElectorToken { return sha256.Sum256([]byte{byte(i >> 8), byte(i)}) }

func newDay(t *testing.T, bureaux, electors int) *day {
	t.Helper()
	d := &day{t: t, v: NewMemoryView(), keys: map[BureauNumber]ed25519.PrivateKey{}, log: testKey("log")}
	var rows []RollRow
	for i := range electors {
		rows = append(rows, RollRow{testElector(i), BureauNumber(1 + i%bureaux)})
	}
	roll, err := NewRoll(rows)
	if err != nil {
		t.Fatal(err)
	}
	d.g = &Group{
		Election: "test-2024", Manifest: sha256.Sum256([]byte("manifest")), Commune: 21014, Bureaux: map[BureauNumber]*BureauKeys{},
		Principal: 1, Deputy: 2, Voting: []BureauNumber{1, 2, 3}, LogKey: d.log.Public().(ed25519.PublicKey), Roll: roll,
		Witnesses: []*NoteKey{CosignerKey("adele.test/witness", testKey("witness").Public().(ed25519.PublicKey))},
	}
	for n := BureauNumber(1); int(n) <= bureaux; n++ {
		d.keys[n] = testKey("device" + string(rune('a'+n)))
		k := new(BureauKeys)
		k.Device[0] = d.keys[n].Public().(ed25519.PublicKey)
		k.Cosigner[0] = testKey("cosigner" + string(rune('a'+n))).Public().(ed25519.PublicKey)
		d.g.Bureaux[n] = k
	}
	d.out = append(d.out, Begin(d.g, d.v))
	return d
}

// chain is one author's chain as the author knows it.
type chain struct {
	d  *day
	a  Author
	at Point
}

func (d *day) open(n BureauNumber, session byte) *chain {
	c := &chain{d: d, a: Author{Bureau: n, Session: SessionID{session}}}
	return c
}

func (c *chain) sign(bodies ...Body) *Batch {
	c.d.t.Helper()
	var ss []Statement
	for _, b := range bodies {
		ss = append(ss, NewStatement(1_728_799_200_000, b))
	}
	b, err := Sign(c.d.keys[c.a.Bureau], c.d.g, c.a, c.at, ss)
	if err != nil {
		c.d.t.Fatal(err)
	}
	c.at = Point{Next: b.Header.Next(), Previous: b.Header.Identity()}
	return b
}

func (d *day) place(b *Batch) Answer {
	d.t.Helper()
	again, err := DecodeBatch(b.Encode())
	if err != nil {
		d.t.Fatal(err)
	}
	if err := again.Verify(d.g); err != nil {
		d.t.Fatal(err)
	}
	ans, out := Place(d.g, d.v, again)
	d.out = append(d.out, out...)
	return ans
}

func (c *chain) put(bodies ...Body) Answer {
	c.d.t.Helper()
	return c.d.place(c.sign(bodies...))
}

func started(d *day, n BureauNumber) *chain {
	c := d.open(n, byte(n))
	if ans := c.put(&SessionOpened{Generation: 1, Media: 3}); ans.Status != Placed {
		d.t.Fatalf("session: %+v", ans)
	}
	return c
}

func admission(i int, nonce uint32) *Admission {
	return &Admission{Elector: testElector(i), Nonce: nonce, Means: ByCard, Attester: 1}
}

func TestSecondAdmissionIsAConflictThatNamesTheFirst(t *testing.T) {
	d := newDay(t, 3, 9)
	one, two := started(d, 1), started(d, 2)
	first := one.put(admission(0, 0))
	if !first.Verdicts[0].Clean() {
		t.Fatalf("first admission: %+v", first)
	}
	ans := two.put(admission(0, 0))
	want := Verdict{Validity: NotHeld, Class: AlreadyAdmittedClass, Against: first.Position}
	if ans.Verdicts[0] != want {
		t.Errorf("second admission: %+v, want %+v", ans.Verdicts[0], want)
	}
}

func TestReleasedRightIsUsedAwayAndComesBackOnlyByReturn(t *testing.T) {
	d := newDay(t, 3, 9)
	home, away := started(d, 1), started(d, 2)
	right := Right{testElector(0), Admit}
	rel := home.sign(&Release{right, 0, 2})
	d.place(rel)
	x, err := rel.Extract(0).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := home.put(admission(0, 0)).Verdicts[0].Validity; got != NotHeld {
		t.Errorf("home admits what it released: %v", got)
	}
	unhold := away.put(&Hold{right, 0, x}, &Return{right, 0, x})
	if !unhold.Verdicts[0].Clean() || !unhold.Verdicts[1].Clean() {
		t.Fatalf("hold and return: %+v", unhold)
	}
	if got := away.put(&Hold{right, 0, x}).Verdicts[0].Validity; got != NotHeld {
		t.Errorf("holds again what it returned: %v", got)
	}
}

func TestBatchesOutOfOrderWaitAndFollow(t *testing.T) {
	d := newDay(t, 3, 9)
	c := d.open(1, 1)
	a, b, e := c.sign(&SessionOpened{Generation: 1, Media: 3}), c.sign(admission(0, 0)), c.sign(admission(3, 0))
	if d.place(e).Status != Parked || d.place(b).Status != Parked {
		t.Fatal("batches before their session were not parked")
	}
	if ans := d.place(a); ans.Status != Placed {
		t.Fatalf("session: %+v", ans)
	}
	if got := ReadHead(d.v).Size; got != 4 {
		t.Errorf("%d entries, want genesis and three", got)
	}
	if ans := d.place(e); ans.Status != Placed || ans.Position != 3 {
		t.Errorf("proposed again: %+v", ans)
	}
}

func TestTwoBatchesAtOneSequenceNumberAreEvidence(t *testing.T) {
	d := newDay(t, 3, 9)
	c := started(d, 1)
	clone := *c
	c.put(admission(0, 0))
	ans := clone.put(admission(3, 0))
	if ans.Status != Contradicted {
		t.Fatalf("clone's batch: %+v", ans)
	}
	e := d.out[len(d.out)-1].Entry
	if e.Kind != EvidenceEntry || e.Offence != DoubleSequence || e.Against != 2 {
		t.Errorf("evidence: %+v", e)
	}
	if ans := c.put(admission(6, 0)); ans.Status != Placed || !ans.Verdicts[0].Clean() {
		t.Errorf("after evidence: %+v", ans)
	}
}
