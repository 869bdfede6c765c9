package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pointage/ledger/minutes"
	"pointage/node"
	"pointage/node/register"
	"pointage/tools/prepare/preparation"
)

// signed is an act of prepare on the register of custody, under an office's key.
func (l *life) signed(want int, office, act string, args ...string) string {
	l.Helper()
	letter := l.write("letter", l.others["office/"+office])
	return l.prepare(want, append([]string{
		act, "--custody", l.path("custody"), "--key", l.path("custody/offices/" + office + ".age"), "--letter", letter, "--by", "O. Official",
	}, args...)...)
}

// custody passes every key through all offices, and has the college consult and validate.
func (l *life) custody() {
	l.prepare(0, "offices", "--election", l.path("election"), "--authority", l.path("election/authority.key"), "--custody", l.path("custody"), "--letters", l.path("offices.csv"))
	text, err := os.ReadFile(l.path("offices.csv"))
	if err != nil {
		l.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		l.Fatal(err)
	}
	for _, row := range rows[1:] {
		l.others["office/"+row[0]] = row[2]
	}
	var all strings.Builder
	for _, d := range l.days {
		mine := l.handOvers(d)
		for _, hop := range [][2]string{{"commune", "commune"}, {"bureau", "commune"}, {"principal-bureau", "principal"}} {
			l.signed(0, fmt.Sprintf("%s-%d", hop[1], d.ins), "handover", "--office", hop[0], "--file", l.write("hand.csv", handOverHead+mine))
		}
		all.WriteString(mine)
	}
	for _, hop := range [][2]string{{"college", "college"}, {"destruction", "administration"}} {
		l.signed(0, hop[1], "handover", "--office", hop[0], "--file", l.write("hand.csv", handOverHead+all.String()))
	}
	l.signed(0, "college", "consult", "--why", "case 2024/17", "--dossier", l.path("dossier"), "--file", l.path("dossier/check-ins.csv"), fmt.Sprint(lifeMember))
	var communes []string
	for _, c := range preparation.Communes {
		communes = append(communes, fmt.Sprint(c.INS))
	}
	l.signed(0, "college", "validate", append([]string{"--validated", "2024-11-14", "--final", "2024-12-20"}, communes...)...)
	l.signed(0, "administration", "settle", "--drawn-up", "2024-12-02")
}

const handOverHead = "key,digest,from,to,at\n"

// handOvers are the rows of a commune's keys.
func (l *life) handOvers(d *lifeDay) string {
	l.Helper()
	var out strings.Builder
	for _, b := range d.prepared.Commune.Bureaux {
		for which := 1; which <= register.Sticks; which++ {
			list, err := os.ReadFile(l.path("keys/" + preparation.StickDir(d.ins, b.Number, which) + "/" + register.StickDigests))
			if err != nil {
				l.Fatal(err)
			}
			fmt.Fprintf(&out, "%s,%x,the one,the other,2024-10-14T10:00:00+02:00\n", register.StickNumber(d.ins, b.Number, which), sha256.Sum256(list))
		}
	}
	return out.String()
}

// destroyPlatform is what ADELE does: all that it has, and its copies.
func (l *life) destroyPlatform() {
	l.start()
	college := l.as("college", 0)
	for _, c := range preparation.Communes {
		college.must(200, "PUT", fmt.Sprintf("/validations/%d", c.INS), fmt.Sprintf(`{"commune":%d,"validated":"2024-11-14","final":"2024-12-20"}`, c.INS))
	}
	l.as("prosecutor", 0).must(200, "PUT", "/settlement", `{"drawn_up":"2024-12-02"}`)
	keeper := l.as("administration", 0) // enters what the register of custody says
	entered := 0
	for line := range strings.Lines(l.prepare(0, "custody", "--custody", l.path("custody"), "--json")) {
		keeper.must(201, "POST", "/custody", line)
		entered++
	}
	keeper.must(204, "DELETE", "/session", "")
	order := fmt.Sprintf(`{"day":%q,"backups":[%q]}`, time.Now().UTC().Format(time.DateOnly), l.path("by-hand"))
	admin := l.as("administration", 0)
	certificate := string(admin.must(200, "POST", "/destruction", order))
	if want := fmt.Sprintf("%d handed over for destruction, 0 not", entered/5); !strings.Contains(certificate, want) {
		l.Errorf("the platform's certificate lacks %q: %s", want, certificate)
	}
	l.write("platform-certificate.json", certificate)
	admin.must(410, "GET", fmt.Sprintf("/communes/%d/list", lifeMember), "")
	l.stop()
	for _, d := range l.days {
		adeleRun(l.T, l.dir, "export", "--commune", fmt.Sprint(d.ins), "--out", l.path(fmt.Sprintf("exports-after/%d", d.ins)))
	}
	adeleRun(l.T, l.dir, "log", "--out", l.path("access-log"))
	for _, gone := range []string{"by-hand", "backups"} {
		if left, err := filepath.Glob(l.path(gone + "/*")); err != nil || len(left) > 0 {
			l.Errorf("copies are left: %v %v", left, err)
		}
	}
}

// destroyRest is what the college and the administration do. What is forgotten is told, and destroyed when it is named.
func (l *life) destroyRest() {
	l.signed(0, "college", "destroy-college", l.path("dossier"))
	media := []string{l.path("usb")}
	for _, d := range l.days {
		for _, b := range d.prepared.Commune.Bureaux {
			for which := 1; which <= register.Sticks; which++ {
				media = append(media, l.path("keys/"+preparation.StickDir(d.ins, b.Number, which)))
			}
		}
		if err := d.register.GiveTokenKey(func(k []byte) error { l.people.secrets = bytes.Clone(k); return nil }); err != nil {
			l.Fatal(err)
		}
	}
	l.signed(0, "administration", "destroy-key", media...)
	forgotten := []string{l.path("prosecutor/absent.csv"), l.path("forgotten/" + node.PaperFile(minutes.Dutch))}
	destroy := func(want int, more ...string) string {
		l.Helper()
		named := []string{"--search", l.dir, "--experts", l.path("experts.age"), "--experts-letter", l.path("experts.letter")}
		for _, name := range []string{"work", "lists", "uploads", "election", "keys", "offices.csv", "experts.age", "experts.txt", "experts.letter", "hand.csv", "letter"} {
			named = append(named, l.path(name))
		}
		return l.signed(want, "administration", "destroy-lists", append(named, more...)...)
	}
	said := destroy(1)
	for _, name := range append(l.named(), forgotten...) {
		if !strings.Contains(said, name) {
			l.Errorf("%s is not told: %s", name, said)
		}
	}
	l.write("planted", "K of one commune: "+string(l.people.secrets))
	forgotten = append(forgotten, l.minutes()...)
	if said := destroy(1, forgotten...); !strings.Contains(said, l.path("planted")) || strings.Count(said, l.dir) != strings.Count(said, l.path("planted")) {
		l.Errorf("a planted K: %s", said)
	}
	said = destroy(0, append(forgotten, l.path("planted"))...)
	if !strings.Contains(said, "nothing is left in them") || !strings.Contains(said, ".sst") && *shrink < 1000 {
		l.Error(said)
	}
	l.Log(said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:])
	l.signed(0, "administration", "certify", "--out", l.path("certificate.txt"))
	certificate := l.prepare(0, "custody", "--custody", l.path("custody"), "--certificate", l.path("certificate.txt"))
	for _, want := range []string{fmt.Sprintf("searched for %d electors and the secrets of 19 registers", l.people.count), "stands in the register of custody"} {
		if !strings.Contains(certificate, want) {
			l.Errorf("the certificate lacks %q: %s", want, certificate)
		}
	}
	if strings.Contains(certificate, "NEVER CAME BACK") {
		l.Error(certificate)
	}
	if err := os.Remove(l.path("letter")); err != nil {
		l.Fatal(err)
	}
}

// named are the minutes that name a member.
func (l *life) named() (out []string) {
	l.Helper()
	for _, name := range l.minutes() {
		text, err := os.ReadFile(name)
		if err != nil {
			l.Fatal(err)
		}
		if l.people.named(name, text) != "" {
			out = append(out, name)
		}
	}
	if len(out) < 2 {
		l.Fatalf("of the minutes only %v name a member", out)
	}
	return out
}
