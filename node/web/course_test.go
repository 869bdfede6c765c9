package web_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/tools/prepare/preparation"
)

var (
	didStep = regexp.MustCompile(`<li class="did">`)
	example = regexp.MustCompile(`\b1\d 0\d{4} \d{2}\b|\b\d{9}\b`)
)

// guide is what the guided exercise shows on a page.
func (p page) guide() string {
	_, rest, _ := strings.Cut(p.body, `id="course"`)
	out, _, _ := strings.Cut(rest, "</section>")
	return out
}

// guides compares how many steps are ticked off, and what the next one says.
func (p page) guides(t *testing.T, what string, done int, next string) {
	t.Helper()
	g := p.guide()
	if n := len(didStep.FindAllString(g, -1)); n != done {
		t.Errorf("%s: %d steps are ticked off, want %d: %s", what, n, done, page{body: g}.text())
	}
	if !strings.Contains(page{body: g}.text(), next) {
		t.Errorf("%s: the next step is not %q: %s", what, next, page{body: g}.text())
	}
}

// TestTheGuidedExerciseTicksOffWhatWasReallyDone walks through the first half hour of a rehearsal at bureau 1 of three: looking
// at pages, wrong input and refusals tick nothing off, the acts do, and a restart forgets none of them.
func TestTheGuidedExerciseTicksOffWhatWasReallyDone(t *testing.T) {
	t.Parallel()
	o := usual()
	o.barrier = 10 * time.Second // a slow machine does not count as cut off
	c := newCommune(t, o)
	for _, s := range c.stations {
		s.start(nil)
	}
	s := c.stations[1]
	for _, n := range []ledger.BureauNumber{2, 3} {
		if err := c.stations[n].node.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := s.president()
	for _, path := range []string{"/check-in", "/proxies", "/correct", "/closing", "/opening"} {
		p.get(path).guides(t, "looking at "+path, 1, "Ouvrir le bureau")
	}
	p.post("/opening/do").guides(t, "opening without a tick", 1, "Ouvrir le bureau")
	p.post("/opening/do", "confirm", "yes").guides(t, "open", 2, "Pointer un électeur de ce bureau")
	until(t, "the bureaux are linked", func() bool { return s.node.Status().Link == "linked" })

	number := example.FindString(page{body: p.get("/check-in").guide()}.text())
	if number == "" {
		t.Fatalf("no number to try: %s", p.get("/check-in").guide())
	}
	p.checkIn(number[:4]).guides(t, "half a scan", 2, "Pointer un électeur de ce bureau")
	p.checkIn(number).guides(t, "checked in", 3, "Refuser une deuxième fois")
	p.checkIn(number).guides(t, "the same scan", 3, "Refuser une deuxième fois")
	a, code := s.assessor(p, 0)
	a.checkIn(number)
	until(t, "the refusal is in the chain", func() bool { return len(didStep.FindAllString(p.get("/check-in").guide(), -1)) == 4 })

	got := p.get("/check-in")
	got.guides(t, "refused", 4, "Un électeur d'un autre bureau")
	number = example.FindString(page{body: got.guide()}.text())
	if got := p.checkIn(number); !strings.Contains(got.answerOf(), "PEUT VOTER") || !strings.Contains(got.answerOf(), "il vote ici") {
		t.Fatalf("the number to try of another bureau: %s", got.answerOf())
	} else {
		got.guides(t, "away", 5, "Un vote par procuration")
	}
	two := example.FindAllString(page{body: p.get("/proxies").guide()}.text(), -1)
	if len(two) != 2 {
		t.Fatalf("numbers for a proxy: %v", two)
	}
	form := p.post("/proxies/holder", "number", two[0])
	form = p.post("/proxies/principal", append(carried(form), "number", two[1])...)
	form = p.post("/proxies/form", append(carried(form), "form", "1", "reason", "8", "evidence", "4")...)
	form.guides(t, "half a proxy", 5, "Un vote par procuration")
	signatures := append(carried(form), "principal-signed", "1", "holder-signed", "1", "principal-number", "1", "holder-number", "1")
	p.post("/proxies/admit", append(signatures, "mayor-on", "13/10/2030")...).guides(t, "a proxy that is refused", 5, "Un vote par procuration")
	p.post("/proxies/admit", append(signatures, "mayor-on", "12/10/2030")...).guides(t, "proxy", 6, "Corriger une mauvaise ligne")

	row := rowIn.FindStringSubmatch(p.checkIn(example.FindString(page{body: p.get("/check-in").guide()}.text())).body)
	p.get("/correct?row="+row[1]).guides(t, "a row that is looked at", 6, "Corriger une mauvaise ligne")
	p.post("/correct/do", "row", row[1], "reason", "1", "second", fmt.Sprint(code), "second_secret", "482915").guides(t, "taken back", 7, "Sans réseau")

	// The others' machines go: this bureau is alone, and goes on.
	c.stations[2].stop()
	c.stations[3].stop()
	until(t, "the bureau is alone", func() bool {
		got = p.checkIn(example.FindString(page{body: p.get("/check-in").guide()}.text()))
		return strings.Contains(got.answerOf(), "Enregistré ici")
	})
	p.get("/check-in").guides(t, "without a link", 8, "Fermer le bureau")
	s.stop()
	s.start(nil)
	p = s.president()
	p.get("/check-in").guides(t, "after a restart", 8, "Fermer le bureau")
	p.get("/closing")
	p.post("/closing/ask", "queue", "empty").guides(t, "asked once", 8, "Fermer le bureau")
	p.post("/closing/do", "queue", "empty", "sure", "yes").guides(t, "closed", 9, "tout est fait")
}

// TestAKeyThatIsElsewhereIsRelabelledByTwo: bureau 3's pouch lies at another place. Its president asks the principal bureau, where
// two persons sign; one alone, the wrong passphrase, and no place change nothing.
func TestAKeyThatIsElsewhereIsRelabelledByTwo(t *testing.T) {
	t.Parallel()
	c := newCommune(t, usual())
	for _, s := range c.stations {
		s.start(nil)
	}
	one, three := c.stations[1], c.stations[3]
	v, p := three.president(), one.president()
	v.get("/opening").has(t, `href="/relabel"`)
	v.get("/relabel").has(t, `action="/relabel/ask"`)
	const place = "École <b>12</b>"
	if got := v.post("/relabel/ask", "bureau", "3", "place", place); got.path != "/opening" || !strings.Contains(got.text(), "Demande envoyée au bureau 1") {
		t.Fatalf("asked: %s", got.text())
	}
	until(t, "the principal bureau has the request", func() bool {
		return strings.Contains(p.get("/messages").text(), "Bureau 3 : notre clé se trouve à « "+place+" »")
	})
	signatories := table(t, one).Signatories() // of the principal bureau, its deputy, and one of no bureau
	if len(signatories) != 3 || signatories[0].Bureau != 1 || !signatories[0].Here {
		t.Fatalf("signatories %+v", signatories)
	}
	number := func(i int) string { return fmt.Sprint(signatories[i].Number) }
	pass := func(i int) string { return c.secret(preparation.PassphraseFile + "-signatory-" + number(i)) }
	p.get("/relabel")
	good := []string{"bureau", "3", "place", place, "signer-1", number(0), "secret-1", pass(0), "signer-2", number(2), "secret-2", pass(2)}
	for what, change := range map[string][]string{
		"signataire 2":           {"secret-2", pass(0)},
		"signataire 1":           {"signer-1", "0", "file-1", c.keys(1, preparation.KeysFile)},
		"de la même personne":    {"signer-2", number(0), "secret-2", pass(0)},
		"écrivez le lieu en une": {"place", strings.Repeat("x", 10_000)},
	} {
		got := p.post("/relabel/do", append(append([]string{}, good...), change...)...)
		if got.status != 422 || !strings.Contains(got.text(), "Rien n'a été changé") || !strings.Contains(got.text(), what) {
			t.Errorf("%s: %d %s", what, got.status, got.text())
		}
		if strings.Contains(got.body, pass(0)) {
			t.Error("a passphrase is in the page")
		}
	}
	// The second person's key lies elsewhere: on a drive that is pointed to, or chosen in the browser.
	drive := t.TempDir()
	own := filepath.Join(c.election, fmt.Sprint(town), "signatory-"+number(2)+".age")
	sealed, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(drive, filepath.Base(own)), sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, x := range [][]string{{"file-2", drive}, {"file-2", filepath.Join(drive, filepath.Base(own))}, {"secret-key-2", base64.StdEncoding.EncodeToString(sealed)}} {
		elsewhere := append(append([]string{}, good...), append(x, "signer-2", "0")...)
		if got := p.post("/relabel/do", append(elsewhere, "secret-2", pass(0))...); got.status != 422 || !strings.Contains(got.text(), "signataire 2") {
			t.Errorf("%s with another's passphrase: %d %s", x[0], got.status, got.text())
		}
		to := fmt.Sprintf("École %d", i)
		if got := p.post("/relabel/do", append(elsewhere, "place", to)...); got.path != "/opening" || !strings.Contains(got.text(), "Le bureau 3 se trouve maintenant à : "+to) {
			t.Errorf("%s: %d %s", x[0], got.status, got.text())
		}
	}
	if got := table(t, one).Place(3); got == place {
		t.Fatal("the place was changed by what was refused")
	}
	if got := p.post("/relabel/do", good...); got.path != "/opening" || !strings.Contains(got.text(), "Le bureau 3 se trouve maintenant à : "+place) {
		t.Fatalf("signed by two: %d %s", got.status, got.text())
	}
	until(t, "bureau 3 sees its new place", func() bool { return table(t, three).Place(3) == place })
	got := v.get("/opening")
	got.has(t, "Le lieu a été changé par deux personnes", "École &lt;b&gt;12&lt;/b&gt;")
	if strings.Contains(got.body, place) {
		t.Error("the place is drawn as it was typed")
	}
	if got := v.post("/opening/do", "confirm", "yes"); got.path != "/check-in" {
		t.Errorf("it can't be opened afterwards: %s", got.text())
	}
	for _, s := range c.stations {
		if strings.Contains(s.log.String(), pass(0)) || strings.Contains(s.log.String(), pass(2)) {
			t.Error("a passphrase is in the log")
		}
	}
}

// secret is a text of the commune's own directory of the election.
func (c *commune) secret(name string) string {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.election, fmt.Sprint(town), name))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
