package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

const (
	headerLen       = 130
	signaturePrefix = "pointage/batch/signature/v1\x00"
)

// set is b with the bytes at an offset replaced; a negative offset counts from the end.
func set(b []byte, at int, v ...byte) []byte {
	b = slices.Clone(b)
	if at < 0 {
		at += len(b)
	}
	copy(b[at:], v)
	return b
}

func cut(b []byte, n int) []byte { return slices.Clone(b[:len(b)-n]) }

func plus(b []byte, v ...byte) []byte { return append(slices.Clone(b), v...) }

func (m *maker) rejectStatements() {
	no := func(name, says string, in []byte) { m.reject("statement", "statement-"+name, says, "form", in) }
	e := ledgertest.Elector(0)
	adm := m.statement(ledgertest.Admission(0))
	open := m.statement(&ledger.SessionOpened{Generation: 1, Media: 3})
	void := m.statement(&ledger.Void{Sequence: 1, Rights: []ledger.Right{{Elector: e, Kind: ledger.Admit}}})
	pair := m.statement(&ledger.Void{Sequence: 1, Rights: []ledger.Right{{Elector: e, Kind: ledger.Admit}, {Elector: ledgertest.Elector(1), Kind: ledger.Carry}}})
	ann := m.statement(&ledger.Annulment{Rights: []ledger.Right{{Elector: e, Kind: ledger.Admit}}, Attesters: [2]uint16{1, 2}})
	rel := m.statement(&ledger.Release{Right: ledger.Right{Elector: e, Kind: ledger.Admit}, To: 2})
	proxy := m.statement(&ledger.ProxyAdmission{Holder: e, Principal: ledgertest.Elector(1), Form: []byte("F1"), Means: ledger.ByCard})
	amend := m.statement(m.day.Amend(ledger.Amendment{Number: 1, Act: ledger.Relabel, Bureau: 3, Place: []byte("Gemeentehuis")}))
	refused := m.statement(&ledger.AttemptRefused{Elector: e, Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard})
	account := m.statement(&ledger.Account{Member: 1, Sealed: bytes.Repeat([]byte{7}, ledger.MaxSealed)})
	no("empty", "no bytes", nil)
	no("truncated", "the last byte is missing", cut(adm, 1))
	no("trailing", "a byte after the body", plus(adm, 0))
	no("unknown-kind", "kind 255 has no meaning", set(adm, 0, 255))
	no("kind-zero", "kind 0 has no meaning", set(adm, 0, 0))
	no("time-not-rounded", "a statement that names an elector, 1 ms past the grain", set(adm, 8, adm[8]+1))
	no("time-negative", "the time's highest bit", set(open, 1, 0x80))
	no("flag-two", "a flag is 0 or 1", set(open, 9, 2))
	no("flag-unfenced", "a flag is 0 or 1", set(open, -1, 0xff))
	no("no-media", "a session opened from no medium", set(open, 14, 0))
	no("fourth-medium", "bit 3 of three media", set(open, 14, 8))
	no("unknown-means", "means of identification 5", set(adm, -3, 5))
	no("unknown-refusal", "refusal 65535", set(refused, 41, 0xff, 0xff))
	no("refusal-none", "an attempt refused for no reason", set(refused, 41, 0, 0))
	no("right-kind", "a right of kind 3", set(rel, 41, 3))
	no("bureau-zero", "released to bureau 0", set(rel, -2, 0, 0))
	no("nonce-too-large", "nonce 2^31", set(adm, 41, 0x80))
	no("attesters-unordered", "two attesters, the larger first", set(ann, -4, 0, 2, 0, 1))
	no("attesters-equal", "one person attests twice", set(ann, -4, 0, 1, 0, 1))
	no("void-no-right", "no right", slices.Concat(void[:17], []byte{0}, void[17+1+33:]))
	no("void-carry-alone", "a carry right alone", set(void, 17+1+32, 2))
	no("void-same-right-twice", "the admit right twice, in place of a proxy's two", set(pair, 17+1+33, pair[18:18+33]...))
	no("proxy-to-oneself", "holder and principal are one", set(proxy, 41, proxy[9:41]...))
	no("form-not-ascii", "a control character in the form's number", set(proxy, 83, 7))
	no("form-empty", "no form number", slices.Concat(proxy[:81], []byte{0, 0}, proxy[85:]))
	no("length-one-more", "a length that takes in the byte after its vector", set(proxy, 82, 3))
	no("length-beyond", "a length beyond the end", set(refused, -2, 0, 9))
	no("sealed-too-long", "2,049 sealed bytes", slices.Concat(account[:11], []byte{8, 1}, account[13:], []byte{7}))
	no("too-long", "4,097 bytes", plus(adm, bytes.Repeat([]byte{0}, 4097-len(adm))...))
	no("presence-unknown", "presence 4", set(m.statement(&ledger.Attendance{Member: 1, Presence: ledger.Active}), -1, 4))
	no("act-unknown", "an amendment that does act 4", set(amend, 11, 4))
	no("retirement-with-a-place", "only a new label names a place", set(amend, 11, 2))
	no("place-not-utf8", "the place's name is not UTF-8", set(amend, 17, 0xff))
	no("signers-unordered", "the larger number first", set(amend, 17+12, 0, 2))
	orphan := m.statement(&ledger.Orphan{Head: ledger.Head{Next: 1}, From: 0})
	no("orphan-empty", "a tail that begins where it ends", set(orphan, -1, 1))
	no("head-of-nothing", "the head of a session with no statement", set(orphan, 9+16+7, 0))
	imported := m.statement(&ledger.Imported{Bureau: 2, Generation: 1, Media: 3})
	no("imported-no-media", "no medium was read", set(imported, -1, 0))
	no("imported-incarnation", "incarnation 3 of 0 to 2", set(imported, 11, 3))
	settled := m.statement(&ledger.Settled{Generation: 1, Media: 3})
	no("settled-by-one", "one medium was read", set(settled, -1, 4))
	no("settled-fourth-medium", "bit 3 of three media", set(settled, -1, 9))
	no("settled-incarnation", "incarnation 2 is before none", set(settled, 9, 2))
	no("settled-head-of-nothing", "the head of a session with no statement", slices.Concat(settled[:10], []byte{1}, make([]byte, 16+8+32), settled[11:]))
	minutes := m.statement(&ledger.Minutes{Bureau: 2, UpTo: 512})
	no("minutes-of-nothing", "drawn from no entries", set(minutes, 18, 0))
	no("minutes-of-epoch-10", "there are epochs 0 to 9", set(minutes, 12, 10))
	no("minutes-of-too-many", "drawn from 2^24 + 1 entries", set(minutes, 16, 1, 0, 0, 1))
	no("minutes-own-too-large", "own statements up to 2^62 + 1", set(minutes, 20, 0x40, 0, 0, 0, 0, 0, 0, 1))
	no("minutes-flag", "a flag is 0 or 1", set(minutes, 11, 2))
	no("equivocation-empty", "one word", append(m.statement(&ledger.Count{})[:0:0], 26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0))
	no("evidence-short", "a header cut short", plus(m.statement(&ledger.Count{})[:0], append([]byte{15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9}, 0, 1, 9)...))
}

// resigned is an encoded batch with its header's signature made by a key.
func resigned(b []byte, key ed25519.PrivateKey) []byte {
	return set(b, headerLen, ed25519.Sign(key, append([]byte(signaturePrefix), b[:headerLen]...))...)
}

func (m *maker) rejectBatches() {
	no := func(name, says, stage string, in []byte) { m.reject("batch", "batch-"+name, says, stage, in) }
	b := m.day.Entries[4].Batch.Encode()
	opening := m.day.Entries[1].Batch.Encode()
	key := ledgertest.Key(ledgertest.DeviceName(1, 0))
	no("empty", "no bytes", "form", nil)
	no("truncated", "the last byte is missing", "form", cut(b, 1))
	no("header-truncated", "only half a header", "form", b[:60])
	no("trailing", "a byte after the last statement", "form", plus(b, 0))
	no("version", "header version 2", "form", resigned(set(b, 0, 2), key))
	no("bureau-zero", "bureau 0", "form", resigned(set(b, 37, 0, 0), key))
	no("incarnation", "incarnation 3 of 0 to 2", "form", resigned(set(b, 39, 3), key))
	no("sequence-too-large", "first sequence number over 2^62", "form", resigned(set(b, 56, 0x40, 0, 0, 0, 0, 0, 0, 1), key))
	no("count-zero", "no statements", "form", resigned(set(b[:headerLen+64], 64, 0, 0), key))
	no("count-65", "65 statements", "form", resigned(set(b, 64, 0, 65), key))
	no("count-one-less", "one statement fewer than there are", "form", resigned(set(b, 64, 0, 2), key))
	no("root", "the root is not that of the statements", "form", resigned(set(b, headerLen-1, b[headerLen-1]^1), key))
	no("statement-changed", "a statement changed after signing", "form", set(b, -1, b[len(b)-1]^1))
	no("opening-missing", "sequence 0 does not open the session", "form", resigned(set(b, 56, make([]byte, 8)...), key))
	no("opening-late", "a session opened at sequence 1", "form", resigned(set(opening, 63, 1), key))
	no("wrong-election", "another manifest", "election", resigned(set(b, 1, b[1]^1), key))
	no("wrong-commune", "another commune's group, 21013", "commune", resigned(set(b, 36, b[36]-1), key))
	no("unknown-bureau", "bureau 4 of three", "author", resigned(set(b, 38, 4), key))
	no("wrong-author", "bureau 1's batch signed by bureau 2's key", "signature", resigned(b, ledgertest.Key(ledgertest.DeviceName(2, 0))))
	no("wrong-incarnation", "signed by the next incarnation's key", "signature", resigned(b, ledgertest.Key(ledgertest.DeviceName(1, 1))))
	no("header-changed", "another session", "signature", set(b, 40, b[40]^1))
	no("signature-changed", "a bit of the signature", "signature", set(b, headerLen+3, b[headerLen+3]^1))
	no("signature-of-bare-header", "signed without the prefix", "signature", set(b, headerLen, ed25519.Sign(key, b[:headerLen])...))
	no("signature-s-too-large", "S + L in place of S (RFC 8032 section 5.1.7)", "signature", set(b, headerLen+32, littleEndianBytes(
		new(big.Int).Add(littleEndian(b[headerLen+32:headerLen+64]), curveL))...))
	msg := append([]byte(signaturePrefix), b[:headerLen]...)
	crafted := smallOrderSignature(key, msg)
	if !holdsTimesEight(key.Public().(ed25519.PublicKey), msg, crafted) {
		m.t.Fatal("batch verifiers would refuse the crafted signature")
	}
	no("signature-for-batch-verifiers", "R has a component of small order: 8SB = 8R + 8kA holds, SB = R + kA does not", "signature",
		set(b, headerLen, crafted...))
}

func (m *maker) rejectExtracts() {
	no := func(name, says, stage string, in []byte) { m.reject("extract", "extract-"+name, says, stage, in) }
	x := must(m.day.Entries[4].Batch.Extract(1).Encode())
	no("truncated", "the last byte is missing", "form", cut(x, 1))
	no("trailing", "a byte after the path", "form", plus(x, 0))
	no("path-changed", "a bit of the path", "form", set(x, -1, x[len(x)-1]^1))
	no("path-short", "a hash of the path is missing", "form", set(cut(x, 32), -32-1, 1))
	no("path-long", "a hash too many", "form", func() []byte {
		long := plus(x, x[len(x)-32:]...)
		long[len(x)-65]++
		return long
	}())
	no("index-beyond", "index 3 of three statements", "form", set(x, headerLen+65, 3))
	no("index-other", "the first statement's index", "form", set(x, headerLen+65, 0))
	no("wrong-author", "signed by another bureau's key", "signature", resigned(x, ledgertest.Key(ledgertest.DeviceName(2, 0))))
	no("too-long", "3,073 bytes", "form", plus(x, make([]byte, ledger.MaxExtract+1-len(x))...))
}

func (m *maker) rejectEntries() {
	no := func(name, says string, in []byte) { m.reject("entry", "entry-"+name, says, "form", in) }
	genesis, e := m.day.Entries[0].Encoded, m.day.Entries[4].Encoded
	no("truncated", "the last byte is missing", cut(e, 1))
	no("trailing", "a byte after the verdicts", plus(e, 0))
	no("version", "entry version 2", set(e, 0, 2))
	no("kind", "entry kind 4", set(e, 41, 4))
	no("validity", "a validity without meaning", set(e, -2, 6))
	no("class", "a class without meaning", set(e, -1, 255))
	no("verdicts-one-more", "a verdict count beyond the end", set(e, -7, 4))
	no("class-without-entry", "a class that names an earlier entry, and none is named", set(e, -1, 1))
	later := recovered(m.t).Entries[0].Encoded
	no("seed-signers-unordered", "a seed's larger number first", set(later, -66, 0, 1))
	no("seed-trailing", "a byte after a seed's signatures", set(plus(later, 0), 111, byte((len(later)-112)>>8), byte(len(later)-112)))
	no("epoch-10", "there are epochs 0 to 9", set(later, 110, 10))
	no("offence", "an offence without meaning", set(m.evidence(), -9, 5))
	no("seed-in-epoch-0", "epoch 0 goes on from nothing", append(cut(genesis, 2), 0, 1, 9))
	no("epoch-1-without-seed", "a later epoch goes on from a checkpoint", set(genesis, -3, 1))
	no("too-long", "65,536 bytes", plus(e, make([]byte, 1<<16-len(e))...))
	placed := ledger.Answer{Status: ledger.Placed, Verdicts: []ledger.Verdict{{}}}
	a := placed.Encode()
	for name, in := range map[string][]byte{
		"trailing": plus(a, 0), "unknown-status": set(a, 0, 5), "reason-without-rejection": set(a, 1, 1),
		"placed-without-verdicts": set(a[:11], -1, 0), "parked-with-a-position": {2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0},
	} {
		m.reject("answer", "answer-"+name, "an answer no member gives", "form", in)
	}
}

// evidence is an entry that is evidence.
func (m *maker) evidence() []byte {
	d := newVectorDay(m.t)
	c := d.Started(1)
	twin := *c
	c.Put(ledgertest.Admission(0))
	d.Place(twin.Sign(ledgertest.Admission(3)))
	return d.Entries[len(d.Entries)-1].Encoded
}

func (m *maker) rejectFiles() {
	roll := m.day.Roll.Encode()
	m.reject("roll", "roll-partial-row", "a row cut short", "form", cut(roll, 1))
	m.reject("roll", "roll-unsorted", "two rows swapped", "form", slices.Concat(roll[34:68], roll[:34], roll[68:]))
	m.reject("roll", "roll-twice", "an elector twice", "form", slices.Concat(roll[:34], roll))
	m.reject("roll", "roll-no-home", "at home at bureau 0", "form", set(roll, 32, 0, 0))
	m.rejectManifests()
	m.rejectCheckpoints()
}

func (m *maker) rejectManifests() {
	no := func(name, says, stage string, in []byte) { m.reject("manifest", "manifest-"+name, says, stage, in) }
	file, authority := m.day.File, ledgertest.Key("authority")
	body := cut(file, 32+64)
	sign := func(body []byte) []byte {
		b := append(slices.Clone(body), authority.Public().(ed25519.PublicKey)...)
		return append(b, ed25519.Sign(authority, append([]byte("pointage/manifest/v1\x00"), b...))...)
	}
	if !bytes.Equal(sign(body), file) {
		m.t.Fatal("the manifest is not signed as here")
	}
	no("truncated", "the last byte is missing", "signature", cut(file, 1))
	no("changed", "a letter of the election's name", "signature", set(file, 3, 'T'))
	no("other-authority", "another key, not signed anew", "signature", set(file, -96, file[len(file)-96]^1))
	no("trailing", "a byte after the last bureau, signed", "form", sign(plus(body, 0)))
	no("version", "version 2, signed", "form", sign(set(body, 0, 2)))
	no("name", "a capital in the election's name, signed", "form", sign(set(body, 3, 'T')))
	no("kind", "neither live nor rehearsal, signed", "form", sign(set(body, 12, 3)))
	no("policy", "policy 3, signed", "form", sign(set(body, 13, 3)))
	no("outside-holders", "a flag is 0 or 1; signed", "form", sign(set(body, 15, 2)))
	no("modulo", "modulo-97 variant 3, signed", "form", sign(set(body, 16, 3)))
	no("closes-before-it-opens", "hours swapped, signed", "form", sign(set(body, 17, slices.Concat(body[25:33], body[17:25])...)))
	dup := slices.Clone(body)
	copy(dup[len(dup)-64:], dup[len(dup)-32:])
	no("key-twice", "one key with two uses, signed", "form", sign(dup))
	paid := cut(m.withPayOffice(payOffice), 32+64)
	no("pay-office-none", "version 2 without any pay office, signed", "form", sign(plus(set(body, 0, 2), 0, 0)))
	no("pay-office-version", "version 1 with a pay office, signed", "form", sign(set(paid, 0, 1)))
	no("pay-office-short", "a recipient one character short, signed", "form", sign(slices.Concat(paid[:len(body)], []byte{0x07, 0xa6}, []byte(payOffice[:len(payOffice)-1]))))
	no("pay-office-form", "a recipient of another kind, signed", "form", sign(set(paid, len(body)+2, 'A')))
}

func (m *maker) rejectCheckpoints() {
	note := string(m.day.Anchors[0])
	no := func(name, says string, text string) {
		m.reject("checkpoint", "checkpoint-"+name, says, "form", []byte(text))
	}
	c := m.day.Checkpoint()
	lines := strings.SplitAfter(note, "\n")
	// log signs any text as the log.
	log := func(text string) string {
		key := ledgertest.Key("log")
		sig := binary.BigEndian.AppendUint32(nil, ledger.LogKey(c.Origin, m.day.Group.LogKey).KeyHash())
		sig = append(sig, ed25519.Sign(key, []byte(text))...)
		return text + "\n— " + c.Origin + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
	}
	if want := string(must(ledger.SignCheckpoint(c, ledgertest.Key("log")))); log(c.Text()) != want {
		m.t.Fatalf("the log does not sign as here: %q, %q", log(c.Text()), want)
	}
	no("unsigned", "text without signatures", c.Text())
	no("truncated", "the last newline is missing", note[:len(note)-1])
	no("cosigned-only", "without the log's line", strings.Join(append(slices.Clone(lines[:4]), lines[5:]...), ""))
	no("size-changed", "another size", strings.Replace(note, lines[1], "1\n", 1))
	no("size-with-zero", "a leading zero, signed so", log(strings.Replace(c.Text(), "\n18\n", "\n018\n", 1)))
	no("size-negative", "a sign, signed so", log(strings.Replace(c.Text(), "\n18\n", "\n+18\n", 1)))
	no("extension-line", "a fourth line, signed so", log(c.Text()+"extension\n"))
	no("root-short", "a root of 31 bytes, signed so", log(c.Origin+"\n18\n"+base64.StdEncoding.EncodeToString(c.Root[:31])+"\n"))
	no("line-twice", "a cosignature twice", note+lines[len(lines)-2])
	no("lines-unordered", "the witness before the bureaux", strings.Join(slices.Concat(lines[:5], lines[8:9], lines[5:8]), ""))
	no("unknown-line", "a line of a key that the manifest has not", note+ledger.Cosign(c, "somebody", ledgertest.Key("somebody"), 1))
	no("padding-bits", "the last digit of a signature before its padding, other unused bits", func() string {
		i := strings.LastIndex(note, "\n")
		j := strings.LastIndexAny(note[:i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		d := strings.IndexByte(digits, note[j])
		return note[:j] + string(digits[d^1]) + note[j+1:]
	}())
	for name, change := range map[string]func(*ledger.Checkpoint){
		"other-origin": func(c *ledger.Checkpoint) { c.Origin = "test-2024/21014/epoch-1" },
		"size-2-to-63": func(c *ledger.Checkpoint) { c.Size = 1 << 63 },
	} {
		other := m.day.Checkpoint()
		change(&other)
		no(name, "signed by the log's key under this text", string(must(ledger.SignCheckpoint(other, ledgertest.Key("log")))))
	}
}

func (m *maker) rejectNumbers() {
	m.number("national number", "national-check-digits", "wrong check digits", "85.07.30-033.29", "form")
	m.number("national number", "national-short", "ten digits", "8507300332", "form")
	m.number("national number", "national-letter", "a letter", "85.07.30-O33.28", "form")
	m.number("convocation number, complement", "convocation-other-variant", "the other variant's check digits", "01 00001 91", "form")
	m.number("convocation number, remainder", "convocation-long", "ten digits", "0100001910", "form")
}

func (m *maker) rejectPlaces() {
	open := func() ledger.Body { return &ledger.SessionOpened{Generation: 1, Media: 3} }
	d := newVectorDay(m.t)
	c := d.Session(1, 1)
	a := c.Sign(open())
	twin, lost := *c, *c
	b := c.Sign(ledgertest.Admission(0))
	e := c.Sign(ledgertest.Admission(3))
	other := twin.Sign(ledgertest.Admission(6))
	m.places("gap", "a batch is missing: the one after it waits, without an entry", a, e)
	m.places("double-sequence", "another batch at a sequence number: evidence", a, b, other)
	lost.At.Previous = ledger.Hash{1}
	m.places("wrong-previous", "the next sequence number, built on another batch: evidence", a, lost.Sign(ledgertest.Admission(0)))
	ghost := d.Session(1, 7)
	ghost.At.Previous = ledger.Hash{1}
	m.places("continues-nothing", "a first session that claims a batch before it: evidence", ghost.Sign(open()))
	wrong := d.Session(1, 8)
	wrong.At.Previous = ledger.Hash{2}
	m.places("continues-another-head", "a head that the session named never had: evidence", a,
		wrong.Sign(&ledger.SessionOpened{Continues: &ledger.Head{Session: c.Author.Session, Next: 1, Hash: ledger.Hash{2}}, Generation: 1, Media: 3}))
	overlap := *c
	overlap.At = ledger.Point{Next: 1, Previous: a.Header.Identity()}
	m.places("from-evidence", "what goes on from a batch that is evidence is evidence too", a, b, other, twin.Sign(ledgertest.Admission(9)))
	m.places("overlap", "a batch of two over one that is there: evidence", a, b, overlap.Sign(ledgertest.Admission(0), ledgertest.Admission(3)))
	d = newVectorDay(m.t)
	c = d.Session(1, 1)
	c.Sign(open())
	var waiting []*ledger.Batch
	for range ledger.MaxParkedBatches + 1 {
		waiting = append(waiting, c.Sign(ledgertest.Admission(0)))
	}
	m.places("parking-full", "the 65th batch that would wait", waiting...)
}

func (m *maker) rejectExports() {
	base := func() *ledgertest.Day {
		d := newVectorDay(m.t)
		one := d.Started(1)
		twin := *one
		one.Put(ledgertest.Admission(0))
		d.Started(2).Put(ledgertest.Admission(0))
		d.Place(twin.Sign(ledgertest.Admission(3)))
		return d
	}
	no := func(name, says, where string, files map[string][]byte) {
		m.all = append(m.all, vector{Name: "export-" + name, Says: says, Kind: "export", Files: hexFiles(files), Where: where})
	}
	rewritten := func(name, says, where string, at uint64, change func(*ledger.Entry)) {
		d, i := base(), uint64(0)
		d.Rewrite(func(e *ledger.Entry) {
			if i == at {
				change(e)
			}
			i++
		})
		no(name, says+"; linked, hashed and signed anew", where, d.Export())
	}
	rewritten("wrong-outcome", "a double admission said to be accepted", "entry 4", 4, func(e *ledger.Entry) { e.Verdicts[0] = ledger.Verdict{} })
	rewritten("wrong-against", "a conflict that names another entry", "entry 4", 4, func(e *ledger.Entry) { e.Verdicts[0].Against = 1 })
	rewritten("wrong-position", "an entry that says another position", "entry 2", 2, func(e *ledger.Entry) { e.Position = 9 })
	rewritten("wrong-previous", "an entry that does not follow from the one before", "entry 3", 3, func(e *ledger.Entry) { e.Previous[0] ^= 1 })
	rewritten("wrong-offence", "evidence for another reason", "entry 5", 5, func(e *ledger.Entry) { e.Offence = ledger.WrongPrevious })
	rewritten("evidence-as-batch", "a contradiction placed as if it were none", "entry 5", 5, func(e *ledger.Entry) {
		e.Kind, e.Verdicts, e.Offence, e.Against = ledger.BatchEntry, []ledger.Verdict{{}}, 0, 0
	})
	rewritten("other-genesis", "a genesis of another manifest", "entry 0", 0, func(e *ledger.Entry) { e.Genesis.Manifest[0] ^= 1 })
	rewritten("second-genesis", "a second genesis", "entry 3", 3, func(e *ledger.Entry) {
		h := m.day.Group
		*e = ledger.Entry{Position: 3, Previous: e.Previous, Kind: ledger.GenesisEntry, Genesis: &ledger.Genesis{Manifest: h.Manifest, Roll: h.Roll.Hash(), Commune: h.Commune}}
	})
	rewritten("forged-signature", "a batch with a changed signature", "entry 2", 2, func(e *ledger.Entry) { e.Batch[headerLen] ^= 1 })
	var next []byte
	for _, p := range base().Entries[4:5] {
		next = p.Entry.Batch
	}
	rewritten("gap", "a batch whose author has no batch before it", "entry 3", 3, func(e *ledger.Entry) { e.Batch = next })
	m.rejectEpochs(no)
	files := base().Export()
	delete(files, "tile/0/000.p/6")
	no("tile-missing", "a hash tile is missing", "file tile/0/000.p/6", files)
	files = base().Export()
	files["notes"] = []byte("x")
	no("surplus", "a file that does not belong", "file notes", files)
	files = base().Export()
	files[ledger.OriginFile] = []byte("test-2024/21014/epoch-0")
	no("origin-without-newline", "a text file not in its one form", "file origin", files)
	files = base().Export()
	short := base()
	short.Anchor()
	files[ledger.CheckpointFile] = must(ledger.SignCheckpoint(ledger.Checkpoint{Origin: short.Group.Origin(0), Size: 5, Root: short.Checkpoint().Root}, ledgertest.Key("log")))
	no("other-size", "a checkpoint over fewer entries than the bundle holds", "file tile/entries/000.p/5", files)
	other := newVectorDay(m.t)
	other.Started(3)
	other.Anchor()
	files = base().Export()
	files[ledger.AnchorFile(1)], files[ledger.AnchorFile(0)] = files[ledger.AnchorFile(0)], other.Anchors[0]
	no("forked-anchor", "a witness has cosigned another history", "file anchors/000000", files)
	files = base().Export()
	bundle := files["tile/entries/000.p/6"]
	n := int(binary.BigEndian.Uint16(bundle))
	files["tile/entries/000.p/6"] = append(binary.BigEndian.AppendUint16(nil, uint16(n+1)), bundle[2:]...)
	no("bundle-length", "an entry's length is one too many", "entry 0", files)
}
