package web_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/minutes"
	"pointage/node"
	"pointage/node/register"
	"pointage/tools/prepare/preparation"
)

// played is the bureau whose day is played: not the principal one, so that the others go on without it.
const played ledger.BureauNumber = 3

// scan is one check-in of the script: whom, by which means, and what the table is to be told.
type scan struct {
	elector register.Elector
	means   ledger.Means
	want    string
}

func (x scan) number() string {
	if x.means == ledger.ByConvocationNumber {
		return x.elector.ConvocationNumber.Digits()
	}
	return x.elector.NationalNumber.Printed()
}

// script is a polling day of one bureau as it is typed on its screens, and what it must come to.
type script struct {
	t         *testing.T
	c         *cabled
	s         *station
	president seat
	tables    []seat
	// want counts what the script did that is recorded.
	want minutes.Figures
}

// TestAWholeDayOnTheScreensIsWhatTheMinutesSay plays a day in the browser, at three tables at once: sign-in, opening with
// attendance, forty check-ins, two proxies and one that is refused, a wrong row taken back, the network cut and healed,
// counts, closing, minutes, and the commune's papers. The minutes are those that are expected, word by word and in both
// languages; the files that the screens give out are those whose SHA-256 was recorded, and an export draws them again.
func TestAWholeDayOnTheScreensIsWhatTheMinutesSay(t *testing.T) {
	t.Parallel()
	atTheScreens(t)
	c := newCabled(t, 195)
	d := &script{t: t, c: c, s: c.stations[played]}
	d.opens()
	d.staffs()
	d.atOnce(d.linked())
	d.proxies()
	d.corrects()
	d.turnsAway()
	d.cut()
	said := d.closes()
	d.communes()
	d.exported(said)
	for _, e := range c.electors {
		for _, secret := range []string{e.NationalNumber.Digits(), e.NationalNumber.Printed(), e.ConvocationNumber.Digits()} {
			if strings.Contains(d.s.log.String(), secret) {
				t.Fatal("a number is in the log")
			}
		}
	}
}

// opens has all three presidents sign in and open their bureaux on the screens, with attendance taken first.
func (d *script) opens() {
	d.t.Helper()
	var starting sync.WaitGroup
	for _, s := range d.c.stations {
		starting.Go(func() { s.start(nil) })
	}
	starting.Wait()
	for n, s := range d.c.stations {
		var p seat = s.president()
		if n == played {
			p = s.signsIn("0", s.pass)
			d.president = p
			p.get("/attendance")
			for function, presence := range map[string]ledger.Presence{"president": ledger.Active, "deputy": ledger.Absent, "secretary": ledger.Active} {
				p.post("/attendance/presence", "member", fmt.Sprint(member(n, s, function, 0)), "presence", fmt.Sprint(uint8(presence))).has(d.t, `aria-pressed="true"`)
			}
		}
		p.get("/opening").has(d.t, "La clé est celle de ce bureau")
		if got := p.post("/opening/do", "confirm", "yes"); got.path != "/check-in" {
			d.t.Fatalf("bureau %d is not opened: %s", n, got.text())
		}
	}
	for n, s := range d.c.stations {
		until(d.t, fmt.Sprintf("bureau %d is linked", n), func() bool { return s.node.Status().Link == "linked" })
	}
}

// staffs gives three assessors a PIN and a session each.
func (d *script) staffs() {
	d.t.Helper()
	codes, pins := [3]string{}, [3]string{}
	d.president.get("/team")
	for i := range codes {
		codes[i], pins[i] = fmt.Sprint(member(played, d.s, "assessor", i)), fmt.Sprint(482915+i)
		d.president.post("/team/pin", "code", codes[i], "pin", pins[i]).has(d.t, "a son code PIN")
	}
	d.president.get("/attendance")
	for i, code := range codes {
		d.president.post("/attendance/presence", "member", code, "presence", "1")
		v := d.s.signsIn(code, pins[i])
		v.get("/check-in")
		d.tables = append(d.tables, v)
	}
}

// linked are thirty check-ins of electors of this bureau and two of each other one.
func (d *script) linked() (out []scan) {
	for i := range 26 {
		out = append(out, scan{d.c.home(played, i), []ledger.Means{ledger.ByConvocationNumber, ledger.ByNationalNumber}[i%2], "PEUT VOTER"})
	}
	for _, n := range []ledger.BureauNumber{1, 2} {
		for i := range 2 {
			out = append(out, scan{d.c.home(n, i), ledger.ByConvocationNumber, "PEUT VOTER"})
		}
	}
	return out
}

// atOnce has the three tables check in, each by its own session and as fast as it is answered.
func (d *script) atOnce(scans []scan) {
	d.t.Helper()
	var working sync.WaitGroup
	errs := make([]error, len(d.tables))
	for k, v := range d.tables {
		working.Go(func() {
			for i := k; i < len(scans) && errs[k] == nil; i += len(d.tables) {
				errs[k] = scans[i].at(v)
			}
		})
	}
	working.Wait()
	if err := errors.Join(errs...); err != nil {
		d.t.Fatal(err)
	}
	for _, x := range scans {
		d.counts(x)
	}
}

// at has a table read the number and looks at the answer; it ends no test, as it runs beside it.
func (x scan) at(v seat) error {
	p, err := v.checks(x.number())
	switch {
	case err != nil:
		return err
	case p.status != http.StatusOK || !strings.Contains(p.answerOf(), x.want):
		return fmt.Errorf("%d %s, want %s", p.status, p.answerOf(), x.want)
	}
	return nil
}

// counts adds a check-in that stands to what the minutes must say.
func (d *script) counts(x scan) {
	if x.elector.Bureau == played {
		d.want.Own++
	} else {
		d.want.Away++
	}
	d.want.ByMeans[x.means]++
}

// proxies are two that are admitted, one that breaks a rule, and one holder's second.
func (d *script) proxies() {
	d.t.Helper()
	v := d.tables[0]
	for i := range 2 {
		principal := d.c.home(played, 40+i)
		proxy(v, d.c.home(played, 30+i), principal, "12/10/2030").has(d.t, `class="answer admit"`)
		d.counts(scan{elector: principal, means: ledger.ByNationalNumber})
		d.want.Proxies++
		d.want.ByReason[8]++
	}
	proxy(v, d.c.home(played, 32), d.c.home(played, 42), "13/10/2030").has(d.t, `class="answer refuse"`, "après la veille", "enregistré avec sa règle")
	proxy(v, d.c.home(played, 30), d.c.home(played, 43), "12/10/2030").has(d.t, `class="answer refuse"`)
	d.want.Refused[ledger.ProxyAlreadyHeld]++
}

// corrects takes a wrong row back, after its light: an assessor and the president attest. The right elector comes after.
func (d *script) corrects() {
	d.t.Helper()
	v := d.tables[1]
	m := rowIn.FindStringSubmatch(v.checkIn(d.c.home(played, 50).ConvocationNumber.Digits()).body)
	if m == nil {
		d.t.Fatal("the answer leads to no row")
	}
	v.get("/correct?row="+m[1]).has(d.t, "Retirer la ligne")
	v.post("/correct/do", "row", m[1], "reason", "1", "second", "0", "second_secret", d.s.pass).has(d.t, "Ligne retirée")
	d.want.Annulled++
	d.atOnce([]scan{{d.c.home(played, 51), ledger.ByConvocationNumber, "PEUT VOTER"}})
}

// turnsAway has an elector try again at another bureau's table than the one that checked him in.
func (d *script) turnsAway() {
	d.t.Helper()
	e := d.c.home(1, 5)
	other := d.c.stations[1].president()
	if got := other.checkIn(e.ConvocationNumber.Digits()).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		d.t.Fatalf("at bureau 1: %s", got)
	}
	if got := d.tables[2].checkIn(e.NationalNumber.Digits()).answerOf(); !strings.Contains(got, "DÉJÀ POINTÉ") {
		d.t.Fatalf("at bureau %d: %s", played, got)
	}
	d.want.Refused[ledger.AlreadyAdmitted]++
}

// cut takes the bureau's network away: nine check-ins stay amber, nobody else's elector is admitted; healed they are
// green.
func (d *script) cut() {
	d.t.Helper()
	d.awaits(d.president, "/check-in", "all rows are green", func(body string) bool { return !strings.Contains(body, `class="amber"`) })
	d.c.cables.CutOff([]int{int(played)}, []int{1, 2})
	var alone []scan
	for i := range 9 {
		alone = append(alone, scan{d.c.home(played, 52+i), ledger.ByNationalNumber, "PEUT VOTER"})
	}
	d.atOnce(alone)
	got := d.president.get("/check-in")
	got.has(d.t, "Sans liaison : le pointage continue ici")
	if n := strings.Count(got.body, `class="amber"`); n != len(alone) {
		d.t.Errorf("%d rows are amber, want %d: %s", n, len(alone), got.text())
	}
	if got := d.tables[0].checkIn(d.c.home(2, 9).ConvocationNumber.Digits()).answerOf(); strings.Contains(got, "PEUT VOTER") || !strings.Contains(got, "ne répond pas") {
		d.t.Errorf("an elector of bureau 2 while the network is cut: %s", got)
	}
	d.want.Refused[ledger.HomeUnreachable]++
	d.c.cables.Heal()
	d.awaits(d.president, "/check-in", "all rows are green again", func(body string) bool {
		return strings.Contains(body, "Relié aux autres bureaux") && !strings.Contains(body, `class="amber"`)
	})
}

// awaits looks at a page until it says something, as often as a person would.
func (d *script) awaits(v seat, path, what string, is func(body string) bool) {
	d.t.Helper()
	limit, tick := time.After(patience), time.NewTicker(300*time.Millisecond)
	defer tick.Stop()
	for {
		got := v.get(path)
		if is(got.body) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			d.t.Fatalf("not within %v: %s: %s", patience, what, got.text())
		}
	}
}

// closes counts the ballots, closes the bureau twice asked, which records the minutes, and takes the files that the
// screens give out; one that is asked for again is the same.
func (d *script) closes() map[minutes.Language]ledger.Hash {
	d.t.Helper()
	ballots := fmt.Sprint(d.want.CheckedIn())
	d.president.get("/evening").has(d.t, "Aucun comptage", "Quand la file est vide")
	d.president.get("/counts")
	d.president.post("/counts/record", "issued", ballots, "scanned", ballots).has(d.t, "inférieur à 10")
	d.president.get("/closing").has(d.t, "bulletins remis : "+ballots)
	d.president.post("/closing/ask", "queue", "empty").has(d.t, "Oui, fermer")
	got := d.president.post("/closing/do", "queue", "empty", "sure", "yes")
	got.has(d.t, "Électeurs pointés : "+ballots, "Procès-verbal enregistré", "il ne change plus")
	if got.path != "/evening" || strings.Contains(got.body, "/evening/record") {
		d.t.Errorf("after the closing: %s %s", got.path, got.text())
	}
	said := map[minutes.Language]ledger.Hash{}
	for _, lang := range minutes.Languages {
		said[lang] = d.paper(d.president, "minutes", played, lang)
	}
	d.president.get("/evening")
	return said
}

// paper takes a paper in both forms and gives the SHA-256 of its PDF.
func (d *script) paper(by seat, what string, of ledger.BureauNumber, lang minutes.Language) ledger.Hash {
	d.t.Helper()
	at := fmt.Sprintf("/evening/paper?what=%s&of=%d&lang=%v&as=", what, of, lang)
	pdf, page := by.file(at+"pdf"), string(by.file(at+"html"))
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || !strings.Contains(page, `<html lang="`+lang.String()+`-BE">`) {
		d.t.Fatalf("%s of %d in %v: %.200q %.200q", what, of, lang, pdf, page)
	}
	return sha256.Sum256(pdf)
}

// communes has the other bureaux close, and the principal one record the commune's minutes and draw its lists.
func (d *script) communes() {
	d.t.Helper()
	for _, n := range []ledger.BureauNumber{2, 1} {
		v := d.c.stations[n].president()
		v.get("/closing")
		v.post("/closing/do", "queue", "empty", "sure", "yes").has(d.t, "Aucun comptage")
		v.post("/evening/record").has(d.t, "comptez d&#39;abord, ou cochez")
		v.post("/evening/record", "anyway", "yes").has(d.t, "Procès-verbal enregistré")
	}
	p := d.c.stations[1].signsIn("0", d.c.stations[1].pass)
	d.awaits(p, "/evening", "the principal bureau has all minutes", func(body string) bool {
		return strings.Contains(body, "Tous les autres bureaux sont fermés") && strings.Contains(body, "ont enregistré le leur")
	})
	first := d.president.get("/evening")
	if strings.Contains(first.body, "/evening/commune") || strings.Contains(first.body, "absent-") {
		d.t.Error("a bureau that is not the principal one offers the commune's papers")
	}
	p.post("/evening/commune").has(d.t, "Procès-verbal de la commune enregistré", "par le bureau 1")
	for _, lang := range minutes.Languages {
		for _, what := range []string{"minutes", "absent-members", "absent-electors"} {
			if once, again := d.paper(p, what, 0, lang), d.paper(p, what, 0, lang); what == "minutes" && once != again {
				d.t.Errorf("the commune's minutes in %v are another file the second time", lang)
			}
		}
	}
}

// exported draws the minutes up again from what the principal bureau exports, and compares them with the script, with
// the files, and with the text that is expected.
func (d *script) exported(said map[minutes.Language]ledger.Hash) {
	d.t.Helper()
	x, entries := d.export()
	as, err := minutes.NewCollector(x.Manifest, x.Group)
	if err != nil {
		d.t.Fatal(err)
	}
	var drawn minutes.Drawn
	for _, m := range d.drawn(x, entries) {
		if m.Bureau == played {
			drawn = m
		}
	}
	next := reader(entries)
	if err := as.Read(d.t.Context(), next, drawn.UpTo); err != nil {
		d.t.Fatal(err)
	}
	if as, err = as.Recorded(d.t.Context(), next, &drawn); err != nil {
		d.t.Fatal(err)
	}
	m, err := as.Minutes(played, d.names())
	if err != nil {
		d.t.Fatal(err)
	}
	got := m.Total
	got.Voted, got.Elsewhere = 0, 0 // what other bureaux did is in them
	if got != d.want || got.CheckedIn() != 42 {
		d.t.Errorf("%d are checked in; the minutes say\n%+v, the script did\n%+v", got.CheckedIn(), got, d.want)
	}
	for lang, want := range map[minutes.Language]ledger.Hash{minutes.French: drawn.French, minutes.Dutch: drawn.Dutch} {
		doc := minutes.Compose(m, lang)
		pdf, err := doc.PDF()
		if err != nil {
			d.t.Fatal(err)
		}
		if sum := ledger.Hash(sha256.Sum256(pdf)); sum != want || sum != said[lang] {
			d.t.Errorf("%v: the export gives %v, recorded is %v, the screens gave %v", lang, sum, want, said[lang])
		}
		golden(d.t, "minutes."+lang.String()+".txt", expected(doc.Plain()))
	}
}

// What no two days share in minutes: hashes and sessions, days and hours, and where the commune's ledger stood.
var unlike = []struct {
	what *regexp.Regexp
	like string
}{
	{regexp.MustCompile(`[0-9a-f]{64}`), "<hash>"},
	{regexp.MustCompile(`(\d{2}/\d{2}/\d{4} )?\d{2}:\d{2}(:\d{2})? \(UTC\+[12]\)`), "<time>"},
	{regexp.MustCompile(`(?m)^( <time> \| )[0-9a-f]{8} `), "$1<session> "},
	{regexp.MustCompile(`(?m)^( <time> \| \d+, \d+ \| .* \| )\d+$`), "$1<entry>"},
	{regexp.MustCompile(`(?m)^!! (Déclarations de ce bureau sans place|Verklaringen van dit bureau die nog geen plaats).*\n`), ""},
	{regexp.MustCompile(`\d+ (entrées|inschrijvingen)`), "<n> $1"},
	{regexp.MustCompile(`(Entrées|Inschrijvingen|Ancrages|Verankeringen): \d+`), "$1: <n>"},
	{regexp.MustCompile(`(epoch-0:)\d+`), "$1<n>"},
}

// expected is minutes as they are every time that the day is played.
func expected(text string) string {
	for _, x := range unlike {
		text = x.what.ReplaceAllString(text, x.like)
	}
	return text
}

// export is what the principal bureau exports once it has the minutes, verified, with its entries.
func (d *script) export() (x *election.Export, entries [][]byte) {
	d.t.Helper()
	dir := filepath.Join(d.t.TempDir(), "export")
	until(d.t, "the export has the minutes", func() bool {
		if err := d.c.stations[1].node.Export(dir); errors.Is(err, node.ErrNotAnchored) {
			return false
		} else if err != nil {
			d.t.Fatal(err)
		}
		var err error
		if x, err = election.OpenExport(os.DirFS(dir)); err != nil {
			d.t.Fatal(err)
		}
		entries = nil
		keep := func(_ uint64, e *ledger.Entry, _ *ledger.Batch) {
			raw, err := e.Encode()
			if err != nil {
				d.t.Error(err)
			}
			entries = append(entries, raw)
		}
		if _, err := ledger.Verify(d.t.Context(), os.DirFS(dir), x.Group, x.Epoch, ledger.Options{Workers: 1, Entry: keep}); err != nil {
			d.t.Fatal(err)
		}
		return len(d.drawn(x, entries)) == 4 // three bureaux and the commune
	})
	return x, entries
}

// drawn are the minutes that entries tell of.
func (d *script) drawn(x *election.Export, entries [][]byte) []minutes.Drawn {
	d.t.Helper()
	c, err := minutes.NewCollector(x.Manifest, x.Group)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := c.Read(d.t.Context(), reader(entries), 0); err != nil {
		d.t.Fatal(err)
	}
	return c.Drawn()
}

// reader reads entries of the first epoch, the only one of a day without recovery.
func reader(entries [][]byte) minutes.Next {
	return func(ref uint64) (uint64, []byte, error) {
		if ref >= uint64(len(entries)) {
			return 0, nil, nil
		}
		return ref, entries[ref], nil
	}
}

// names is what the bureau's own key tells of members, as an expert's does.
func (d *script) names() *minutes.Names {
	d.t.Helper()
	p, err := node.ReadPrepared(d.c.election, town)
	if err != nil {
		d.t.Fatal(err)
	}
	k, _, err := p.OpenKeys(d.c.keys(played, preparation.KeysFile), d.s.pass, played)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := p.OpenRegister(k.Identity)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(r.Close)
	convened, err := p.OpenMembers(k.Identity)
	if err != nil {
		d.t.Fatal(err)
	}
	out := &minutes.Names{Open: r.OpenText, Name: func(n ledger.NationalNumber) string {
		i, ok := r.FindNationalNumber(n)
		if !ok {
			return ""
		}
		return strings.TrimSpace(r.At(i).Surname + " " + r.At(i).FirstNames)
	}}
	for _, m := range convened {
		out.Convened = append(out.Convened, minutes.Convened{Number: m.Number, Bureau: m.Bureau, Function: uint8(m.Function), NationalNumber: m.NationalNumber})
	}
	return out
}
