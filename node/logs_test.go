package node

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
	"pointage/node/register"
)

// minName is the length from which a name is looked for as a word, in bytes: a shorter one, such as
// "de", is looked for with what stands beside it.
const minName = 3

// traces are all forms in which an elector must not be found outside the register; words are
// those that count only where they stand alone.
func traces(e register.Elector, token ledger.ElectorToken) (texts, words []string) {
	n, c := e.NationalNumber, e.ConvocationNumber
	texts = []string{
		n.Digits(), n.Printed(), c.Digits(), c.Printed(), e.Surname + " " + e.FirstNames, e.FirstNames + " " + e.Surname,
		hex.EncodeToString(token[:]), strings.ToUpper(hex.EncodeToString(token[:])), fmt.Sprint(token[:]),
		base64.RawStdEncoding.EncodeToString(token[:]), base64.RawURLEncoding.EncodeToString(token[:]),
		hex.EncodeToString([]byte(n.Digits())), base64.RawStdEncoding.EncodeToString([]byte(n.Digits())),
	}
	for _, name := range append(strings.Fields(e.FirstNames), e.Surname, e.FirstNames) {
		if len(name) >= minName {
			words = append(words, name)
		}
	}
	return texts, words
}

// hits lists what is found of some electors.
func hits(text string, electors []register.Elector, tokens []ledger.ElectorToken) (found []string) {
	for i, e := range electors {
		texts, words := traces(e, tokens[i])
		for _, s := range texts {
			if strings.Contains(text, s) {
				found = append(found, s)
			}
		}
		for _, s := range words {
			if hasWord(text, s) {
				found = append(found, s)
			}
		}
	}
	return found
}

func hasWord(text, word string) bool {
	for rest := text; ; {
		i := strings.Index(rest, word)
		if i < 0 {
			return false
		}
		before, _ := utf8.DecodeLastRuneInString(rest[:i])
		after, _ := utf8.DecodeRuneInString(rest[i+len(word):])
		if !unicode.IsLetter(before) && !unicode.IsLetter(after) {
			return true
		}
		rest = rest[i+len(word):]
	}
}

// heard is everything that bureaux said in a day, beside the answers' own words.
type heard struct{ strings.Builder }

// listens asks a bureau for all that it tells without being asked for an elector.
func (h *heard) listens(t *testing.T, b *bureau) {
	t.Helper()
	for _, path := range []string{"/metrics", "/status", "/health"} {
		h.WriteString(b.call(call{method: http.MethodGet, path: path}).body)
	}
	s, err := json.Marshal(b.node.Status())
	if err != nil {
		t.Fatal(err)
	}
	h.Write(s)
	fmt.Fprintf(h, "%+v", b.node.Status())
}

// acts does everything at one bureau's table with one elector, also wrongly.
func (h *heard) acts(b *bureau, e register.Elector) {
	n := e.NationalNumber.Digits()
	for _, by := range []string{"national", "card"} {
		for _, number := range []string{n, e.NationalNumber.Printed(), n + "0", n[1:], n[:9] + "00"} {
			for _, path := range []string{"/check-ins", "/undo", "/annulments"} {
				more := map[string]string{"/check-ins": "", "/undo": `,"reason":2`, "/annulments": `,"reason":1,"second":4`}[path]
				h.WriteString(b.call(call{path: path, body: fmt.Sprintf(`{"by":%q,"number":%q,"attester":3%s}`, by, number, more)}).body)
			}
		}
	}
	c := e.ConvocationNumber.Digits()
	for _, number := range []string{c, e.ConvocationNumber.Printed(), c + "1", c[1:]} {
		h.WriteString(b.call(call{path: "/check-ins", body: fmt.Sprintf(`{"by":"convocation","number":%q,"attester":3}`, number)}).body)
	}
	for _, body := range []string{`{"number":"` + n, `{"` + n + `":1}`, `{"by":"` + e.Surname + `","number":"` + n + `"}`} {
		h.WriteString(b.call(call{path: "/check-ins", body: body}).body)
	}
	h.WriteString(b.call(call{method: http.MethodGet, path: "/" + n}).body)
}

func TestNoElectorIsFoundInWhatADayOfAllBureauxLeaves(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	p := c.prepared()
	k, _, err := p.OpenKeys(c.keys(1, "identity.age"), c.bureaux[1].pass, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.OpenRegister(k.Identity)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var tokens []ledger.ElectorToken
	for i := range c.electors {
		tokens = append(tokens, r.Token(i))
	}
	h := playedDay(t, c)
	if len(h) < 10_000 || !strings.Contains(h, "pointage_admissions") || !strings.Contains(h, "level=") {
		t.Fatalf("too little was heard to search: %d bytes", len(h))
	}
	if found := hits(h, c.electors, tokens); len(found) > 0 {
		slices.Sort(found)
		t.Errorf("%d traces of electors: %q", len(found), slices.Compact(found))
	}
	for i, e := range c.electors { // each one alone would have been found
		texts, words := traces(e, tokens[i])
		for _, s := range append(texts, words...) {
			if found := hits(h[:1000]+" "+s+" "+h[1000:], c.electors[i:i+1], tokens[i:i+1]); len(found) == 0 {
				t.Fatalf("elector %d is not found by a trace of %d bytes", i, len(s))
			}
		}
	}
}

// playedDay is what all bureaux have logged, shown and answered.
func playedDay(t *testing.T, c *commune) string {
	t.Helper()
	h := &heard{}
	fail := func(err error) {
		if err != nil {
			h.WriteString(err.Error())
		}
	}
	c.opened(1, 2, 3)
	for n, b := range c.bureaux {
		for i := range 3 {
			h.acts(b, c.home(n, i))
			h.acts(b, c.home(n%3+1, i+3)) // away
		}
		h.listens(t, b)
	}
	c.witness.start()
	e := c.home(2, 20)
	c.bureaux[2].stop()
	_, err := c.bureaux[3].node.CheckIn(t.Context(), byNational(e)) // its home is away
	fail(err)
	_, err = Start(c.bureaux[1].config(), c.bureaux[1].options())
	fail(err)
	_, err = Start(c.bureaux[2].config(), Options{Passphrase: e.NationalNumber.Digits()})
	fail(err)
	for _, f := range Doctor(t.Context(), c.bureaux[2].config(), c.bureaux[2].pass) {
		h.WriteString(f.What)
	}
	damage := filepath.Join(c.bureaux[2].dir, "key1", "journal.records")
	if err := os.Truncate(damage, 700); err != nil {
		t.Fatal(err)
	}
	c.bureaux[2].start()
	c.linked(2)
	c.level(1, 2, 3)
	for n := range ledger.BureauNumber(3) {
		fail(c.bureaux[3-n].node.CloseBureau(t.Context()))
	}
	c.until("it is anchored", func() bool { return c.bureaux[1].node.Status().AnchoredSize > 0 })
	fail(c.bureaux[1].node.Export(c.dir)) // not empty, and no export
	for _, b := range c.bureaux {
		h.listens(t, b)
		b.stop()
		h.WriteString(b.log.String())
	}
	return h.String()
}
