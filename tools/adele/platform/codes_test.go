package platform

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

func (w *world) trySignIn(code string) (int, string) {
	w.t.Helper()
	status, raw := w.ask(caller{}, "POST", "/session", asJSON(map[string]string{"code": code}))
	return status, string(raw)
}

// Art. 1 §3: personal, for one person, expiring, revocable.
func TestAnAccessCodeIsOnePersonsForAWhile(t *testing.T) {
	w := newWorld(t, 3)
	code := w.code(CodeOrder{Role: Expert, Days: 2})
	first := w.signIn(code)
	if status, text := w.trySignIn(code); status != http.StatusConflict || !strings.Contains(text, "in use") {
		t.Errorf("a code in use: %d %s", status, text)
	}
	w.must(first, 204, "DELETE", "/session", nil)
	w.must(first, 401, "GET", "/log/checkpoint", nil)
	second := w.signIn(strings.ToUpper(code))
	w.must(second, 200, "GET", "/log/checkpoint", nil)
	w.clock.Add((sessionIdle + time.Second).Milliseconds())
	w.must(second, 401, "GET", "/log/checkpoint", nil)
	w.clock.Add((48 * time.Hour).Milliseconds())
	if status, text := w.trySignIn(code); status != http.StatusUnauthorized || !strings.Contains(text, "expired") {
		t.Errorf("an expired code: %d %s", status, text)
	}
	if status, _ := w.trySignIn("not a code"); status != http.StatusUnauthorized {
		t.Errorf("no code: %d", status)
	}
}

func TestACodeIsNeverStored(t *testing.T) {
	w := newWorld(t, 3)
	code := w.code(CodeOrder{Role: Expert})
	_, secret, _ := strings.Cut(code, "-")
	if len(strings.ReplaceAll(secret, "-", ""))*5 < 80 {
		t.Fatalf("the secret has less than 80 bits: %q", code)
	}
	w.signIn(code)
	if hits := searchFiles(t, w.dir, []string{secret, strings.ReplaceAll(secret, "-", ""), testPerson}); len(hits) > 0 {
		t.Error(hits)
	}
}

func TestGuessingHasToWait(t *testing.T) {
	w := newWorld(t, 3)
	code := w.code(CodeOrder{Role: Expert})
	wrong := code[:len(code)-1] + map[bool]string{true: "1", false: "0"}[code[len(code)-1] == '0']
	for i := range MaxWrongCodes {
		if status, _ := w.trySignIn(wrong); status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, status)
		}
	}
	if status, _ := w.trySignIn(code); status != http.StatusTooManyRequests {
		t.Errorf("the right code right after the guesses: %d", status)
	}
	w.clock.Add((firstTryWait + time.Second).Milliseconds())
	if status, _ := w.trySignIn(code); status != http.StatusOK {
		t.Errorf("the right code later: %d", status)
	}
}

// Delegates are given by the commune, of its own persons only, and go with who gave them.
func TestACommuneGivesCodesToItsOwnPersonsOnly(t *testing.T) {
	w := newWorld(t, 3)
	admin, officer := w.as(Administration), w.as(Officer, josse)
	order := func(role Role, ins ...ledger.Commune) []byte {
		return asJSON(CodeOrder{Role: role, Communes: ins, Person: testPerson, Days: 400})
	}
	delegate := decode[IssuedCode](t, w.must(officer, 201, "POST", "/codes", order(OfficerDelegate, josse)))
	if until := time.UnixMilli(w.clock.Load()).AddDate(0, 0, 31); delegate.Expires.After(until) {
		t.Errorf("the delegate's code outlives the officer's: %v", delegate.Expires)
	}
	w.must(officer, 403, "POST", "/codes", order(OfficerDelegate, evere))
	w.must(officer, 403, "POST", "/codes", order(PrincipalPresident, josse))
	w.must(officer, 403, "POST", "/codes", order(Expert))
	president := w.as(PrincipalPresident, josse)
	w.must(president, 201, "POST", "/codes", order(PrincipalDelegate, josse))
	w.must(president, 403, "POST", "/codes", order(OfficerDelegate, josse))
	w.must(president, 404, "DELETE", "/codes/"+delegate.ID, nil)
	held := w.signIn(delegate.Code)
	w.must(held, 403, "POST", "/codes", order(OfficerDelegate, josse))
	list := decode[[]CodeStatus](t, w.must(officer, 200, "GET", "/codes", nil))
	if len(list) != 1 || list[0].ID != delegate.ID || list[0].Person != testPerson {
		t.Errorf("the officer sees %+v", list)
	}
	all := decode[[]CodeStatus](t, w.must(admin, 200, "GET", "/codes", nil))
	for _, k := range all {
		if k.Role == Officer {
			w.must(admin, 200, "DELETE", "/codes/"+k.ID, nil)
		}
	}
	w.must(officer, 401, "GET", "/codes", nil)
	w.must(held, 401, "GET", "/communes/21014/list", nil)
	if status, text := w.trySignIn(delegate.Code); status != http.StatusUnauthorized || !strings.Contains(text, "withdrawn") {
		t.Errorf("a withdrawn code: %d %s", status, text)
	}
}

func TestBadOrdersForCodesAreRefused(t *testing.T) {
	w := newWorld(t, 3)
	w.filled()
	admin, number := w.as(Administration), w.days[josse].numbers[1].Digits()
	for name, o := range map[string]CodeOrder{
		"no person":         {Role: Expert, Days: 1},
		"for ever":          {Role: Expert, Days: MaxCodeDays + 1, Person: "x"},
		"a machine's":       {Role: PrincipalMachine, Days: 1, Person: "x"},
		"of no commune":     {Role: Officer, Days: 1, Person: "x"},
		"unknown commune":   {Role: Officer, Days: 1, Person: "x", Communes: []ledger.Commune{21019}},
		"two communes":      {Role: Officer, Days: 1, Person: "x", Communes: []ledger.Commune{josse, evere}},
		"number of officer": {Role: Officer, Days: 1, Person: "x", Communes: []ledger.Commune{josse}, NationalNumber: number},
		"no number":         {Role: Elector, Days: 1, Person: "x", Communes: []ledger.Commune{josse}},
	} {
		if code, raw := w.ask(admin, "POST", "/codes", asJSON(o)); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, code, raw)
		}
	}
	stranger := CodeOrder{Role: Elector, Days: 1, Person: "x", Communes: []ledger.Commune{evere}, NationalNumber: number}
	w.must(admin, 404, "POST", "/codes", asJSON(stranger))
}

// searchFiles looks for texts in the names and bytes of every file.
func searchFiles(t *testing.T, root string, secrets []string) (hits []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		raw, err := os.ReadFile(name)
		text := name + string(raw)
		for _, s := range secrets {
			if strings.Contains(text, s) {
				hits = append(hits, fmt.Sprintf("%s holds %q", name, s))
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("searched %d files: %v", files, err)
	}
	return hits
}
