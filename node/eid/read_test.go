package eid

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node/eid/eidtest"
)

// person has a serial that is given to nobody.
var person = eidtest.Holder{Number: "80010100008", Surname: "Élève-d'Essai", FirstNames: "Zoë Renée", From: "01.02.2022", Until: "01.02.2032"}

var generations = map[string]struct {
	make      eidtest.Generation
	signature Signature
	chip      Chip
}{
	"applet 1.8":          {eidtest.ECDSA, ECDSAP384, ChipProven},
	"applet 1.7, SHA-256": {eidtest.RSASHA256, RSASHA256, ChipNotProven},
	"applet 1.7, SHA-1":   {eidtest.RSASHA1, RSASHA1, ChipNotProven},
}

func issue(t testing.TB, g eidtest.Generation, h eidtest.Holder) (*eidtest.Card, Roots) {
	t.Helper()
	a, err := eidtest.NewAuthority(g)
	if err != nil {
		t.Fatal(err)
	}
	return issueBy(t, a, h)
}

func issueBy(t testing.TB, a *eidtest.Authority, h eidtest.Holder) (*eidtest.Card, Roots) {
	t.Helper()
	c, err := a.Issue(h)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ParseRoots(a.Root())
	if err != nil {
		t.Fatal(err)
	}
	return c, roots
}

// want reads a card that must give a trouble.
func want(t *testing.T, c Card, roots Roots, trouble Trouble) {
	t.Helper()
	id, got, err := Read(c, roots)
	if err != nil || got != trouble || id != (Identity{}) {
		t.Errorf("trouble %d (%v), an identity: %t, error %v; want trouble %d", got, got, id != (Identity{}), err, trouble)
	}
}

func TestEveryGenerationOfCardIsRead(t *testing.T) {
	for name, g := range generations {
		c, roots := issue(t, g.make, person)
		id, trouble, err := Read(c, roots)
		if err != nil || trouble != 0 {
			t.Fatalf("%s: trouble %v, error %v", name, trouble, err)
		}
		if id.Number.Digits() != person.Number || id.Surname != person.Surname || id.FirstNames != person.FirstNames ||
			id.ValidFrom != (Date{2022, 2, 1}) || id.ValidUntil != (Date{2032, 2, 1}) {
			t.Errorf("%s: not the person on the card", name)
		}
		if id.Signature != g.signature || id.Chip != g.chip {
			t.Errorf("%s: signature %d, chip %d; want %d, %d", name, id.Signature, id.Chip, g.signature, g.chip)
		}
	}
}

func TestAddressAndPhotographAreNeverOpened(t *testing.T) {
	for name, g := range generations {
		c, roots := issue(t, g.make, person)
		if _, _, err := Read(c, roots); err != nil {
			t.Fatal(err)
		}
		may := []string{eidtest.Identity, eidtest.Signature, eidtest.Register}
		if g.make == eidtest.ECDSA {
			may = append(may, eidtest.ChipKey)
		}
		slices.Sort(may)
		if got := c.Opened(); !slices.Equal(got, may) {
			t.Errorf("%s: opened %v, want %v", name, got, may)
		}
	}
}

func TestCardWhoseApplicationIsNotSelectedByItselfIsRead(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	c.Unselected = true
	if id, trouble, err := Read(c, roots); err != nil || trouble != 0 || id.Chip != ChipProven {
		t.Errorf("trouble %v, error %v", trouble, err)
	}
}

func TestChipIsProvenUnderBothProtocols(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	c.Block = true
	if id, trouble, err := Read(c, roots); err != nil || trouble != 0 || id.Chip != ChipProven {
		t.Errorf("trouble %v, error %v", trouble, err)
	}
}

func TestEmptyFirstNamesAndLongNamesAreRead(t *testing.T) {
	for _, h := range []eidtest.Holder{
		{Number: person.Number, Surname: "X", From: person.From, Until: person.Until},
		{Number: person.Number, Surname: strings.Repeat("é", maxSurname/2), FirstNames: strings.Repeat("y", maxFirstNames), From: person.From, Until: person.Until},
	} {
		c, roots := issue(t, eidtest.ECDSA, h)
		if id, trouble, err := Read(c, roots); err != nil || trouble != 0 || id.Surname != h.Surname || id.FirstNames != h.FirstNames {
			t.Errorf("trouble %v, error %v", trouble, err)
		}
	}
}

func TestAlteredIdentityIsRefused(t *testing.T) {
	for name, g := range generations {
		c, roots := issue(t, g.make, person)
		for _, forged := range [][2]string{{person.Number, "80010199976"}, {"Zoë", "Zoé"}, {"2032", "2042"}, {"Belge", "Autre"}} {
			t.Run(name, func(t *testing.T) {
				altered := c.With(forged[0], forged[1])
				id, trouble, err := Read(altered, roots)
				if err != nil || id != (Identity{}) || trouble != Altered && trouble != Malformed {
					t.Errorf("trouble %v, error %v", trouble, err)
				}
			})
		}
	}
}

func TestEveryChangedByteOfTheFilesIsRefused(t *testing.T) {
	t.Parallel()
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			c, roots := issue(t, g.make, person)
			f := Files{Identity: c.Files[eidtest.Identity], Signature: c.Files[eidtest.Signature], Register: c.Files[eidtest.Register], ChipKey: c.Files[eidtest.ChipKey]}
			if _, _, trouble := Verify(f, roots); trouble != 0 {
				t.Fatalf("the good files: %v", trouble)
			}
			files := map[string][]byte{"identity": f.Identity, "signature": f.Signature, "register": f.Register}
			if g.make == eidtest.ECDSA {
				files["chip's key"] = f.ChipKey
			}
			for what, file := range files {
				for i := range file {
					file[i] ^= 1 << (i % 8)
					if id, key, trouble := Verify(f, roots); trouble == 0 || id != (Identity{}) || key != nil {
						t.Errorf("byte %d of the %s changed: accepted", i, what)
					}
					file[i] ^= 1 << (i % 8)
				}
				for _, n := range []int{0, 1, len(file) / 4} {
					short := f
					for _, p := range []*[]byte{&short.Identity, &short.Signature, &short.Register, &short.ChipKey} {
						if len(*p) > 0 && &(*p)[0] == &file[0] {
							*p = file[:n]
						}
					}
					if _, _, trouble := Verify(short, roots); trouble == 0 {
						t.Errorf("%d bytes of the %s: accepted", n, what)
					}
				}
			}
		})
	}
}

func TestSignatureOfAnotherCardIsRefused(t *testing.T) {
	a, err := eidtest.NewAuthority(eidtest.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	one, roots := issueBy(t, a, person)
	other, _ := issueBy(t, a, eidtest.Holder{Number: "80010199976", Surname: "Autre", From: person.From, Until: person.Until})
	one.Files[eidtest.Signature] = other.Files[eidtest.Signature]
	want(t, one, roots, Altered)
}

func TestCopiedChipsAreRefused(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	wrong, err := c.WithWrongKey()
	if err != nil {
		t.Fatal(err)
	}
	want(t, wrong, roots, ChipCopied)
	want(t, c.WithoutKey(), roots, ChipSilent)

	other, _ := issue(t, eidtest.ECDSA, person)
	swapped := c.Twin()
	swapped.Key, swapped.Files[eidtest.ChipKey] = other.Key, other.Files[eidtest.ChipKey]
	want(t, swapped, roots, ChipCopied)

	bare := c.Twin()
	delete(bare.Files, eidtest.ChipKey)
	want(t, bare, roots, ChipSilent)

	if id, trouble, err := Read(c.Twin(), roots); err != nil || trouble != 0 || id.Chip != ChipProven {
		t.Errorf("the original: trouble %v, error %v", trouble, err)
	}
}

func TestAnswerToAnotherChallengeIsRefused(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	var heard []byte
	record := changed{c, func(command, answer []byte) []byte {
		if command[1] == 0xC0 {
			heard = bytes.Clone(answer)
		}
		return answer
	}}
	if _, trouble, err := Read(record, roots); err != nil || trouble != 0 || heard == nil {
		t.Fatalf("trouble %v, error %v, heard %d bytes", trouble, err, len(heard))
	}
	replay := changed{c, func(command, answer []byte) []byte {
		if command[1] == 0xC0 {
			return bytes.Clone(heard)
		}
		return answer
	}}
	want(t, replay, roots, ChipCopied)
}

// changed is a card whose answers pass through a hand.
type changed struct {
	*eidtest.Card
	hand func(command, answer []byte) []byte
}

func (c changed) Transmit(command []byte) ([]byte, error) {
	answer, err := c.Card.Transmit(command)
	if err == nil {
		answer = c.hand(command, answer)
	}
	return answer, err
}

func TestOtherCardsAreNotBelgian(t *testing.T) {
	_, roots := issue(t, eidtest.ECDSA, person)
	want(t, eidtest.Foreign(), roots, NotBelgian)
}

func TestOnlyTheNationalRegisterIsBelieved(t *testing.T) {
	for name, change := range map[string]func(root, c *x509.Certificate){
		"another name":               func(_, c *x509.Certificate) { c.Subject.CommonName = "Citizen CA" },
		"another organisation":       func(_, c *x509.Certificate) { c.Subject.Organization = []string{"Somebody"} },
		"another country":            func(_, c *x509.Certificate) { c.Subject.Country = []string{"LU"} },
		"a longer name":              func(_, c *x509.Certificate) { c.Subject.SerialNumber = "80010100008" },
		"an authority":               func(_, c *x509.Certificate) { c.IsCA = true },
		"not for signatures":         func(_, c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment },
		"over before the card":       func(_, c *x509.Certificate) { c.NotAfter = time.Date(2022, 1, 31, 0, 0, 0, 0, time.UTC) },
		"under a root that was over": func(root, _ *x509.Certificate) { root.NotAfter = time.Date(2022, 1, 31, 0, 0, 0, 0, time.UTC) },
		"under a root to come":       func(root, _ *x509.Certificate) { root.NotBefore = time.Date(2032, 2, 3, 0, 0, 0, 0, time.UTC) },
		"over before its root": func(root, c *x509.Certificate) {
			root.NotBefore, c.NotAfter = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		},
		"begun after the card": func(_, c *x509.Certificate) { c.NotBefore = time.Date(2032, 2, 3, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(name, func(t *testing.T) {
			a, err := eidtest.NewAuthorityWith(eidtest.ECDSA, change)
			if err != nil {
				t.Fatal(err)
			}
			c, roots := issueBy(t, a, person)
			want(t, c, roots, UnknownRegister)
		})
	}
	t.Run("another root", func(t *testing.T) {
		c, _ := issue(t, eidtest.ECDSA, person)
		_, others := issue(t, eidtest.ECDSA, person)
		want(t, c, others, UnknownRegister)
		want(t, c, PinnedRoots(), UnknownRegister)
	})
}

func TestRegisterThatRetiredDuringTheCardsLifeIsBelieved(t *testing.T) {
	a, err := eidtest.NewAuthorityWith(eidtest.RSASHA1, func(_, c *x509.Certificate) { c.NotAfter = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC) })
	if err != nil {
		t.Fatal(err)
	}
	c, roots := issueBy(t, a, person)
	if _, trouble, err := Read(c, roots); err != nil || trouble != 0 {
		t.Errorf("trouble %v, error %v", trouble, err)
	}
}

func TestSignedNonsenseIsMalformed(t *testing.T) {
	a, err := eidtest.NewAuthority(eidtest.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*eidtest.Holder){
		"wrong check digits":  func(h *eidtest.Holder) { h.Number = "80010100009" },
		"short number":        func(h *eidtest.Holder) { h.Number = "8001010000" },
		"number with letters": func(h *eidtest.Holder) { h.Number = "8001010000O" },
		"no surname":          func(h *eidtest.Holder) { h.Surname = "" },
		"surname too long":    func(h *eidtest.Holder) { h.Surname = strings.Repeat("x", maxSurname+1) },
		"names too long":      func(h *eidtest.Holder) { h.FirstNames = strings.Repeat("x", maxFirstNames+1) },
		"not UTF-8":           func(h *eidtest.Holder) { h.Surname = "\xff" },
		"a line feed":         func(h *eidtest.Holder) { h.FirstNames = "a\nb" },
		"a direction mark":    func(h *eidtest.Holder) { h.FirstNames = "a\u202eb" },
		"no such day":         func(h *eidtest.Holder) { h.From = "31.02.2022" },
		"another date form":   func(h *eidtest.Holder) { h.Until = "2032-02-01" },
		"ends before it is":   func(h *eidtest.Holder) { h.Until = "31.01.2022" },
	} {
		t.Run(name, func(t *testing.T) {
			h := person
			spoil(&h)
			c, roots := issueBy(t, a, h)
			want(t, c, roots, Malformed)
		})
	}
}

func TestCardPulledOutAtAnyCommandGivesNobody(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	commands := 0
	if _, _, err := Read(changed{c, func(_, answer []byte) []byte { commands++; return answer }}, roots); err != nil || commands < 10 {
		t.Fatalf("%d commands, error %v", commands, err)
	}
	for n := 1; n < commands; n++ {
		pulled := c.Twin()
		pulled.PullAfter = n
		if id, trouble, err := Read(pulled, roots); !errors.Is(err, eidtest.ErrGone) || id != (Identity{}) || trouble != 0 {
			t.Errorf("after %d commands: trouble %v, error %v", n, trouble, err)
		}
	}
}

func TestAnyNonsenseAnsweredAtAnyCommandGivesNobody(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	commands := 0
	if _, _, err := Read(changed{c, func(_, answer []byte) []byte { commands++; return answer }}, roots); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= commands; n++ {
		for _, nonsense := range [][]byte{nil, {0x90}, {0x90, 0x00}, {0x00, 0x90, 0x00}, {0x6C, 0x00}, {0x6C, 0xFF}, {0x61, 0x10}, {0x6B, 0x00}, {0x6F, 0x00}, bytes.Repeat([]byte{0x90, 0x00}, maxAnswer/2), make([]byte, maxAnswer+1)} {
			at, cut := 0, len(nonsense) < 2 || len(nonsense) > maxAnswer
			hand := changed{c.Twin(), func(_, answer []byte) []byte {
				if at++; at >= n {
					return bytes.Clone(nonsense)
				}
				return answer
			}}
			if id, trouble, err := Read(hand, roots); (err != nil) != cut || (trouble != 0) == (err != nil) || id != (Identity{}) {
				t.Errorf("%x from command %d on: trouble %v, error %v", nonsense[:min(4, len(nonsense))], n, trouble, err)
			}
			if at > maxCommands {
				t.Errorf("%x from command %d on: %d commands, at most %d", nonsense[:min(4, len(nonsense))], n, at, maxCommands)
			}
		}
	}
}

func TestFilesAreWipedFromMemory(t *testing.T) {
	c, roots := issue(t, eidtest.ECDSA, person)
	altered := c.With(person.Number, "80010199976")
	pulled := c.Twin()
	pulled.PullAfter = 6
	for name, card := range map[string]*eidtest.Card{"good": c, "altered": altered, "pulled out": pulled} {
		var answers [][]byte
		room := make([]byte, maxIdentityFile+maxSignatureFile+maxCertificate+maxKeyFile)
		cut := func(n int) (file []byte) {
			file, room = room[:0:n], room[n:]
			return file
		}
		whole := room
		_, _, err := read(changed{card, func(command, answer []byte) []byte {
			if command[1] == 0xB0 {
				answers = append(answers, answer)
			}
			return answer
		}}, roots, &Files{Identity: cut(maxIdentityFile), Signature: cut(maxSignatureFile), Register: cut(maxCertificate), ChipKey: cut(maxKeyFile)})
		if !zeros(whole) {
			t.Errorf("%s: files are still in memory", name)
		}
		if err != nil && !errors.Is(err, eidtest.ErrGone) {
			t.Fatal(err)
		}
		for i, a := range answers {
			if len(a) > 2 && !zeros(a) {
				t.Errorf("%s: answer %d of %d is still in memory", name, i, len(answers))
			}
		}
	}
}

func TestCardIsExpiredFromTheDayAfterItsLast(t *testing.T) {
	id := Identity{ValidFrom: Date{2022, 2, 1}, ValidUntil: Date{2026, 10, 11}}
	zone := time.FixedZone("two hours east", 2*3600)
	for _, c := range []struct {
		now          time.Time
		expired, not bool
	}{
		{time.Date(2022, 1, 31, 23, 59, 0, 0, zone), false, true},
		{time.Date(2022, 2, 1, 0, 0, 0, 0, zone), false, false},
		{time.Date(2026, 10, 11, 23, 59, 0, 0, zone), false, false},
		{time.Date(2026, 10, 12, 0, 0, 0, 0, zone), true, false},
	} {
		if id.Expired(c.now) != c.expired || id.NotYetValid(c.now) != c.not {
			t.Errorf("%v: expired %t, not yet valid %t", c.now, id.Expired(c.now), id.NotYetValid(c.now))
		}
	}
}

func TestNobodyIsPrinted(t *testing.T) {
	number, err := ledger.ParseNationalNumber(person.Number)
	if err != nil {
		t.Fatal(err)
	}
	e := Event{Kind: CardRead, Reader: "r", Identity: Identity{Number: number, Surname: person.Surname, FirstNames: person.FirstNames}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, e, e.Identity)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "e", e, "i", e.Identity)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "e", e, "i", e.Identity)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, secret := range []string{person.Number, "lève", "Zoë", "80.01.01"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if !strings.Contains(out.String(), withheld) {
		t.Error("nothing says that an identity is withheld")
	}
}
