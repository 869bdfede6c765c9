package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/daybook"
)

// minutesOf draws minutes and gives their text and their file's SHA-256.
func (b *bureau) minutesOf(of ledger.BureauNumber, lang minutes.Language) (text string, sum ledger.Hash) {
	b.c.t.Helper()
	doc, err := b.node.Minutes(b.c.t.Context(), of, lang)
	if err != nil {
		b.c.t.Fatalf("minutes of %d at bureau %d: %v", of, b.number, err)
	}
	pdf, err := doc.PDF()
	if err != nil {
		b.c.t.Fatal(err)
	}
	return doc.Plain(), sha256.Sum256(pdf)
}

func (b *bureau) records(of ledger.BureauNumber) *ledger.Minutes {
	b.c.t.Helper()
	m, err := b.node.RecordMinutes(b.c.t.Context(), of)
	if err != nil {
		b.c.t.Fatalf("record minutes of %d at bureau %d: %v", of, b.number, err)
	}
	return m
}

func (b *bureau) closes() {
	b.c.t.Helper()
	if err := b.node.CloseBureau(b.c.t.Context()); err != nil {
		b.c.t.Fatal(err)
	}
}

func says(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// TestMinutesOfEveryBureauAndOfTheCommune is: who was convened, who came, what was done, recorded
// once, and the same file whenever it is drawn again; and the list for the justice of the peace.
func TestMinutesOfEveryBureauAndOfTheCommune(t *testing.T) {
	t.Parallel()
	c, _ := staffed(t)
	c.witness.start()
	c.opened(1, 2, 3)
	one, three := c.bureaux[1], c.bureaux[3]
	three.acts("/attendance", `{"member":3,"presence":1}`, daybook.Recorded)
	three.acts("/attendance", `{"member":6,"presence":3}`, daybook.Recorded)
	stranger := c.home(3, 20)
	three.acts("/replacements", fmt.Sprintf(`{"by":"national","number":%q,"function":"deputy","for":6}`, stranger.NationalNumber.Printed()), daybook.Recorded)
	for i := range 4 {
		three.admits(c.home(3, i))
	}
	three.admits(c.home(1, 0))
	three.checkIn(c.home(3, 0)) // a second tap, no refusal
	if _, err := three.node.RecordMinutes(t.Context(), 3); !errors.Is(err, ErrNotClosed) {
		t.Errorf("minutes of an open bureau are recorded: %v", err)
	}
	if r := three.call(call{path: "/counts", body: `{"issued":16,"scanned":16}`}); r.code != http.StatusOK {
		t.Fatalf("count: %+v", r)
	}
	three.closes()
	said := three.records(3)
	if again := three.records(3); *again != *said || !said.Named {
		t.Errorf("recorded again: %+v, before %+v", again, said)
	}
	text, _ := three.minutesOf(3, minutes.French)
	president := three.member(3)
	says(t, text, "Procès-verbal du bureau de vote n° 3", "Pointés dans ce bureau: 5", "… inscrits ici: 4", "… inscrits dans un autre bureau: 1", "ALERTE", "RÉPÉTITION",
		president.Surname+" "+president.FirstNames+" | actif", "| absent", stranger.Surname+" "+stranger.FirstNames+" | actif, remplace le n° 6")
	// What happens afterwards changes nothing in them, wherever they are drawn.
	c.bureaux[2].admits(c.home(2, 0))
	c.bureaux[2].closes()
	one.closes()
	for _, b := range []*bureau{three, one} {
		b.c.until("bureau 3's minutes are in the ledger here", func() bool {
			_, sum := b.minutesOf(3, minutes.French)
			return sum == said.French
		})
		if _, sum := b.minutesOf(3, minutes.Dutch); sum != said.Dutch {
			t.Errorf("bureau %d draws another Dutch file than was recorded", b.number)
		}
	}
	if _, err := three.node.Minutes(t.Context(), 1, minutes.French); !errors.Is(err, ErrOfOthers) {
		t.Errorf("bureau 3 draws bureau 1's minutes: %v", err)
	}
	c.until("the commune's minutes have all check-ins", func() bool {
		text, _ := one.minutesOf(0, minutes.Dutch)
		return strings.Contains(text, "Aanstippingen: 6 (buiten het eigen bureau: 1")
	})
	text, _ = one.minutesOf(0, minutes.Dutch)
	says(t, text, "Proces-verbaal van het hoofdbureau", "ALARM", said.Dutch.String(), "geopend: 3, gesloten: 3")
	commune := one.records(0)
	if _, sum := one.minutesOf(0, minutes.French); sum != commune.French {
		t.Error("the commune's minutes are another file than was recorded")
	}
	doc, err := one.node.AbsentMembers(t.Context(), minutes.French)
	if err != nil {
		t.Fatal(err)
	}
	absent := three.member(6)
	says(t, doc.Plain(), " 3 | 6 | président suppléant | "+absent.Surname+" "+absent.FirstNames, "n'a pas été enregistrée")
	if _, err := three.node.AbsentMembers(t.Context(), minutes.French); !errors.Is(err, ErrOfOthers) {
		t.Errorf("bureau 3 draws the members' list: %v", err)
	}
}

// TestABureauCutOffHasMinutesOfItsOwnChain is with: no connection is needed, and once the chain has
// reached the others they draw the same file.
func TestABureauCutOffHasMinutesOfItsOwnChain(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	three := c.bureaux[3]
	three.start()
	if err := three.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		three.admits(c.home(3, i))
	}
	three.closes()
	said := three.records(3)
	text, sum := three.minutesOf(3, minutes.French)
	if sum != said.French {
		t.Error("the minutes are another file than was recorded")
	}
	says(t, text, "Pointés dans ce bureau: 3", "sans place encore dans le registre")
	c.opened(1, 2)
	c.until("the principal bureau draws the same file", func() bool {
		_, sum := c.bureaux[1].minutesOf(3, minutes.French)
		return sum == said.French
	})
	if _, sum := three.minutesOf(3, minutes.Dutch); sum != said.Dutch {
		t.Error("once it is linked the bureau draws another file")
	}
}

// TestAbsentElectorsAreListedAtThePrincipalBureauAlone is.
func TestAbsentElectorsAreListedAtThePrincipalBureauAlone(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	c.opened(1, 2, 3)
	came, stayed := c.home(2, 0), c.home(2, 1)
	c.bureaux[2].admits(came)
	c.bureaux[3].admits(c.home(1, 5))
	var text string
	c.until("both who came are off the list", func() bool {
		doc, err := c.bureaux[1].node.AbsentElectors(t.Context(), minutes.Dutch)
		if err != nil {
			t.Fatal(err)
		}
		text = doc.Plain()
		return strings.Contains(text, fmt.Sprintf("hebben deelgenomen: %d.", townElectors-2))
	})
	says(t, text, stayed.Surname+" | "+stayed.FirstNames+" | ", stayed.NationalNumber.Printed(), "Saint-Josse-ten-Noode")
	if strings.Contains(text, came.NationalNumber.Printed()) {
		t.Error("somebody who came is listed as absent")
	}
	for _, n := range []ledger.BureauNumber{2, 3} {
		if _, err := c.bureaux[n].node.AbsentElectors(t.Context(), minutes.Dutch); !errors.Is(err, ErrNoAddresses) {
			t.Errorf("bureau %d: %v", n, err)
		}
	}
}

// TestThePaperListOnTheMediaSaysWhoHasVoted is R-P3: sealed, refreshed, and opened by the bureau's keys without a machine
// at work.
func TestThePaperListOnTheMediaSaysWhoHasVoted(t *testing.T) {
	t.Parallel()
	c := newCommune(t, func(cfg *Config) { cfg.PaperEvery = Duration(100 * time.Millisecond) })
	b := c.bureaux[1]
	b.start()
	if err := b.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := c.home(1, 0)
	doc, err := b.node.PaperList(t.Context(), minutes.French)
	if err != nil {
		t.Fatal(err)
	}
	says(t, doc.Plain(), "30 électeurs, 0 pointés", e.Surname+" "+e.FirstNames+" | "+e.NationalNumber.Printed()+" | "+e.ConvocationNumber.Printed()+" | ")
	b.admits(e) // alone: the ledger does not have it
	doc, err = b.node.PaperList(t.Context(), minutes.Dutch)
	if err != nil {
		t.Fatal(err)
	}
	says(t, doc.Plain(), "30 kiezers, 1 aangestipt", "gestemd | "+e.Surname)
	cfg := b.config()
	size := func(pdf []byte) int { return strings.Count(string(pdf), " l S") }
	c.until("all media have the list with the one who voted", func() bool {
		for _, dir := range cfg.Media {
			for _, lang := range minutes.Languages {
				if _, err := os.Stat(filepath.Join(dir, PaperFile(lang))); err != nil {
					return false
				}
			}
		}
		pdf, _, err := OpenPaper(cfg, b.pass, minutes.French)
		if err != nil {
			t.Fatal(err)
		}
		one, err := b.node.PaperList(t.Context(), minutes.French)
		if err != nil {
			t.Fatal(err)
		}
		want, err := one.PDF()
		return err == nil && size(pdf) == size(want) && size(pdf) > 0
	})
	b.stop()
	pdf, at, err := OpenPaper(cfg, b.pass, minutes.Dutch)
	if err != nil || time.Since(at) > time.Hour || !strings.HasPrefix(string(pdf), "%PDF-") || !strings.Contains(string(pdf), "(nl-BE)") {
		t.Errorf("opened with the machine stopped: %v, %v", at, err)
	}
	sealed, err := os.ReadFile(filepath.Join(cfg.Media[1], PaperFile(minutes.French)))
	if err != nil || !strings.HasPrefix(string(sealed), "age-encryption.org/") || strings.Contains(string(sealed), "%PDF") {
		t.Errorf("the list on a key is not sealed: %v", err)
	}
	if _, _, err := OpenPaper(cfg, "another passphrase", minutes.French); err == nil {
		t.Error("opened with another passphrase")
	}
	// The media open as before with the lists on them.
	b.start()
	if a := b.checkIn(e); a.Admitted && a.Record == "" {
		t.Errorf("%+v", a)
	}
}

func TestDocumentsOfTheInterfaceAreFilesThatNoCacheKeeps(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	b.admits(c.home(1, 0))
	for path, want := range map[string]string{
		"/minutes?lang=fr&format=pdf": "%PDF-", "/minutes?lang=nl&format=html": "<!DOCTYPE html>\n<html lang=\"nl-BE\">", "/minutes?lang=nl&format=pdf&bureau=0": "%PDF-",
		"/lists/absent-electors?lang=fr&format=html": "<!DOCTYPE html>", "/lists/absent-members?lang=fr&format=pdf": "%PDF-", "/lists/paper?lang=nl&format=pdf": "%PDF-",
	} {
		if r := b.call(get(path)); r.code != http.StatusOK || !strings.HasPrefix(r.body, want) {
			t.Errorf("%s: %d %.60q", path, r.code, r.body)
		}
		if r := b.call(call{method: http.MethodGet, path: path, token: "none"}); r.code != http.StatusUnauthorized {
			t.Errorf("%s without the secret: %d", path, r.code)
		}
	}
	for _, path := range []string{"/minutes", "/minutes?lang=en&format=pdf", "/minutes?lang=fr&format=doc", "/minutes?lang=fr&format=pdf&bureau=9", "/minutes?lang=fr&format=pdf&bureau=x"} {
		if r := b.call(get(path)); r.code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, r.code, r.body)
		}
	}
	if r := b.call(call{path: "/minutes", body: "{}"}); r.code == http.StatusOK || !strings.Contains(r.problem(t), "closed") {
		t.Errorf("minutes of an open bureau: %+v", r)
	}
	b.closes()
	if r := b.call(call{path: "/minutes", body: "{}"}); r.code != http.StatusOK || !strings.Contains(r.body, `"french":"`) {
		t.Errorf("%+v", r)
	}
}
