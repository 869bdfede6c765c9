package web_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pointage/node/register"
)

var hiddenIn = regexp.MustCompile(`<input type="hidden" name="(holder|principal|means|chip-not-proven|form|reason|evidence)" value="([^"]*)">`)

// carried are the fields of a wizard's page that go on to the next one.
func carried(p page) (out []string) {
	for _, m := range hiddenIn.FindAllStringSubmatch(p.body, -1) {
		out = append(out, m[1], m[2])
	}
	return out
}

// proxy walks through the wizard to its answer.
func proxy(v seat, holder, principal register.Elector, mayorOn string) page {
	v.get("/proxies")
	return proxyOf(v, v.post("/proxies/holder", "number", holder.NationalNumber.Printed()), principal, mayorOn)
}

// proxyOf goes on from the page that knows the holder.
func proxyOf(v seat, p page, principal register.Elector, mayorOn string) page {
	p = v.post("/proxies/principal", append(carried(p), "number", principal.ConvocationNumber.Printed())...)
	p = v.post("/proxies/form", append(carried(p), "form", "21014/0017", "reason", "8", "evidence", "4")...)
	return v.post("/proxies/admit", append(carried(p), "principal-signed", "1", "holder-signed", "1", "principal-number", "1", "holder-number", "1", "mayor-on", mayorOn)...)
}

func (p page) has(t *testing.T, what ...string) {
	t.Helper()
	for _, w := range what {
		if !strings.Contains(p.body, w) {
			t.Errorf("%s: no %q in %s", p.path, w, p.text())
		}
	}
}

// TestTheTablesActsAreDoneOnTheScreensOfARealBureau plays proxies, attendance, accounts, counts and messages.
func TestTheTablesActsAreDoneOnTheScreensOfARealBureau(t *testing.T) {
	c, s := alone(t)
	v := s.president()
	holder, principal := c.home(1, 20), c.home(1, 21)
	proxy(v, holder, principal, "13/10/2030").has(t, `class="answer refuse"`, "après la veille", "enregistré avec sa règle")
	proxy(v, holder, principal, "12/10/2030").has(t, `class="answer admit"`, "Remettez un bulletin")
	proxy(v, holder, principal, "12/10/2030").has(t, `class="answer refuse"`)
	proxy(v, holder, c.home(1, 22), "12/10/2030").has(t, `class="answer refuse"`, "propos du mandataire")
	v.get("/proxies").has(t, "1 sur 1 pointages (100,0 %)")

	president := fmt.Sprint(member(1, s, "president", 0))
	v.get("/attendance")
	v.post("/attendance/presence", "member", president, "presence", "1").has(t, `aria-pressed="true"`)
	v.post("/attendance/replace", "number", c.home(1, 25).NationalNumber.Printed(), "function", "assessor", "for", president).has(t, "16384", "remplace le n° "+president)
	v.get("/accounts").has(t, "papier") // this election has no pay office
	v.post("/counts/record", "issued", "11", "scanned", "11").has(t, "cart de 10", "Quarts d&#39;heure")
	v.post("/messages/send", "to", "2", "text", "<b>bonjour</b>\r\ndeux lignes").has(t, "&lt;b&gt;bonjour&lt;/b&gt;\ndeux lignes")
	v.post("/flow/queue", "waiting", "7").has(t, "<td>7 ")
	v.get("/dashboard").has(t, "Procurations refus", "<dd>1</dd>")
	for _, name := range []string{holder.Surname, principal.Surname, "bonjour", "21014/0017"} {
		if strings.Contains(s.log.String(), name) {
			t.Error("a log has what was typed")
		}
	}
	s.stop()
	s.start(nil)
	v = s.president()
	v.get("/messages").has(t, "&lt;b&gt;bonjour")
	v.get("/counts").has(t, "cart de 10")
	v.get("/attendance").has(t, "16384")
	if st := s.node.Status(); st.Admitted != 1 {
		t.Errorf("%d are admitted after a restart", st.Admitted)
	}
}
