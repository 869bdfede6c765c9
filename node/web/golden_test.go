package web_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// maxPage is how long a page may be, in bytes.
const maxPage = 60_000

// What differs from run to run: hashes, times, tokens' like, names of synthetic people, sizes.
var (
	hashes  = regexp.MustCompile(`([0-9a-f]{8} ){7}[0-9a-f]{8}`)
	times   = regexp.MustCompile(`(\d{2}\.\d{2}\.\d{4} )?[+-]?\d{2}:\d{2}(:\d{2})?( ?\([+-]\d{2}:\d{2}\))?`)
	waiting = regexp.MustCompile(`(attente : |wachten: |waiting: |! )\d+`)
	lines   = regexp.MustCompile(`(?i)</(p|h1|h2|li|tr|form|legend|td|th|header|div|section|button|label|option)>`)
)

// seen is what can be read on a page, a line for each part of it, without what no two runs share.
func seen(p page) string {
	_, body, _ := strings.Cut(p.body, "</nav>")
	if body == "" {
		_, body, _ = strings.Cut(p.body, "</header>")
	}
	body = lines.ReplaceAllString(body, "\x00")
	var out []string
	for _, line := range strings.Split(page{body: body}.words(), "\x00") {
		line = strings.TrimSpace(spaces.ReplaceAllString(line, " "))
		line = hashes.ReplaceAllString(line, "<hash>")
		line = times.ReplaceAllString(line, "<time>")
		line = waiting.ReplaceAllString(line, "$1<n>")
		if line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

// TestScreensAreAsTheyWereLookedAt compares what every screen says, in each language, with what is kept in testdata.
func TestScreensAreAsTheyWereLookedAt(t *testing.T) {
	for _, lang := range []string{"fr", "nl", "en"} {
		t.Run(lang, func(t *testing.T) {
			c := newCommune(t, usual())
			s := c.stations[1]
			s.start(nil)
			e, other := c.home(1, 0), c.home(1, 1)
			var all strings.Builder
			keep := func(name string, p page) page {
				t.Helper()
				if len(p.body) > maxPage {
					t.Errorf("%s: %d bytes, at most %d", name, len(p.body), maxPage)
				}
				if !strings.Contains(p.body, `<html lang="`+lang+`">`) || !strings.Contains(p.body, `class="rehearsal `) {
					t.Errorf("%s: not in %s, or no rehearsal", name, lang)
				}
				all.WriteString("== " + name + "\n" + seen(p))
				return p
			}
			v := s.visitor()
			v.get("/sign-in")
			keep("sign-in", v.post("/language", "language", lang, "here", "/sign-in"))
			keep("sign-in, wrong", v.post("/sign-in", "who", "0", "secret", "wrong"))
			v.post("/sign-in", "who", "0", "secret", s.pass)
			keep("opening", v.get("/opening"))
			keep("check-in, opened", v.post("/opening/do", "confirm", "yes"))
			got := keep("admitted", v.checkIn(e.ConvocationNumber.Digits()))
			row := rowIn.FindStringSubmatch(got.body)[1]
			s.at.forward(6 * time.Second)
			got = keep("already admitted", v.checkIn(e.ConvocationNumber.Digits()))
			keep("half a scan", v.checkIn("14000"))
			keep("wrong digits", v.checkIn("140000000"))
			keep("correct", v.get("/correct?row="+row))
			elector := regexp.MustCompile(`name="elector" value="(\d+)"`).FindStringSubmatch(got.body)[1]
			keep("contest", v.post("/contest/ask", "elector", elector, "at", "1"))
			v.get("/check-in")
			keep("search", v.post("/check-in/search", "query", other.Surname+" "+other.FirstNames))
			keep("nobody found", v.post("/check-in/search", "query", "Zzyzx"))
			keep("team", v.get("/team"))
			keep("closing", v.get("/closing"))
			keep("closing, asked", v.post("/closing/ask", "queue", "empty"))
			keep("closed", v.post("/closing/do", "queue", "empty", "sure", "yes"))
			keep("bureau closed", v.checkIn(other.ConvocationNumber.Digits()))
			golden(t, "screens."+lang+".txt", all.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run with -update and look at it", err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s, line %d: %q, was %q; run with -update and look at the difference", name, i+1, b[i], a[i])
		}
	}
	t.Fatalf("%s: %d lines, were %d", name, len(b), len(a))
}
