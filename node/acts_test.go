package node

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/plaintext"
	"pointage/ledger/proxies"
	"pointage/node/daybook"
	"pointage/node/register"
	"pointage/tools/adele/platform"
	"pointage/tools/prepare/preparation"
)

// staffed is a commune with convened members and a pay office, whose identity it gives: prepared for each test that
// asks, so that no other test meets its members.
func staffed(t *testing.T) (*commune, *age.HybridIdentity) {
	t.Helper()
	office, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := platform.GenerateKey(rand.Reader, "adele.test/witness")
	if err != nil {
		t.Fatal(err)
	}
	list := electorsOf(t, town, townElectors, 3)
	for i := range 9 {
		p := &list.People[i]
		p.Member, p.Serves, p.Function = uint16(i+1), ledger.BureauNumber(i%3+1), register.Function(i/3+1)
	}
	dir := filepath.Join(t.TempDir(), "election")
	_, err = preparation.Make(t.Context(), dir, preparation.Order{
		Election: "staffed", Policy: election.Strict, Where: election.FreeChoice, Method: ledger.Complement,
		Opens: opensAt, Closes: opensAt + 8*3600*1000, Barrier: barrier, Simulation: true,
		Witnesses: []election.Witness{{VKey: vkey, URL: "http://127.0.0.1:1"}},
		Groups:    []preparation.Group{{List: list, PayOffice: office.Recipient()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return newCommuneOf(t, dir, skey, nil), office
}

// opensAt is eight o'clock in Brussels on 13 October 2030, a Sunday.
const opensAt ledger.Instant = 1918101600000

// does asks a bureau's interface and reads what it answers.
func does[T any](b *bureau, x call) (out T) {
	b.c.t.Helper()
	r := b.call(x)
	if r.code != http.StatusOK {
		b.c.t.Fatalf("%s %s: %d %s", x.method, x.path, r.code, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &out); err != nil {
		b.c.t.Fatalf("%s: %v", x.path, err)
	}
	return out
}

func get(path string) call { return call{method: http.MethodGet, path: path} }

func (b *bureau) acts(path, body string, want daybook.Refusal) actAnswer {
	b.c.t.Helper()
	a := does[actAnswer](b, call{path: path, body: body})
	if a.Refusal != want || a.Recorded != (want == daybook.Recorded) || a.Reason != want.String() {
		b.c.t.Fatalf("%s %s: %+v, want %v", path, body, a, want)
	}
	return a
}

func (b *bureau) member(number uint16) daybook.Member {
	b.c.t.Helper()
	a, err := b.node.Attendance(b.c.t.Context())
	if err != nil {
		b.c.t.Fatal(err)
	}
	for _, m := range a.Members {
		if m.Number == number {
			return m
		}
	}
	b.c.t.Fatalf("bureau %d lists no member %d", b.number, number)
	return daybook.Member{}
}

// TestAttendanceAndAccountsAreKept plays decree art. 8: who was convened, who serves, and where they are paid.
func TestAttendanceAndAccountsAreKept(t *testing.T) {
	t.Parallel()
	c, office := staffed(t)
	b := c.bureaux[1]
	b.start()
	if a := does[daybook.Attendance](b, get("/attendance")); len(a.Members) != 3 || a.Members[0].Number != 1 || a.Members[0].Function != "president" || a.Members[0].Presence != 0 || !a.PayOffice {
		t.Fatalf("before anything was said: %+v", a)
	}
	if m := b.member(1); m.Surname == "" {
		t.Error("the president has no name on the screen")
	}
	b.acts("/attendance", `{"member":1,"presence":3}`, daybook.Recorded)
	b.acts("/attendance", `{"member":1,"presence":1}`, daybook.Recorded) // the last word counts
	b.acts("/attendance", `{"member":4,"presence":3}`, daybook.Recorded)
	b.acts("/attendance", `{"member":7,"presence":2}`, daybook.Recorded)
	b.acts("/attendance", `{"member":2,"presence":1}`, daybook.Recorded) // sent over from bureau 2
	b.acts("/attendance", `{"member":99,"presence":1}`, daybook.NoSuchMember)
	b.acts("/attendance", `{"member":1,"presence":4}`, daybook.PresenceUnknown)
	stranger := c.home(3, 20)
	replaces := func(e register.Elector, function string) string {
		return fmt.Sprintf(`{"by":"national","number":%q,"function":%q,"for":4}`, e.NationalNumber.Printed(), function)
	}
	r := b.acts("/replacements", replaces(stranger, "deputy"), daybook.Recorded)
	b.acts("/replacements", replaces(stranger, "deputy"), daybook.AlreadyMember)
	b.acts("/replacements", replaces(c.home(3, 21), "captain"), daybook.FunctionUnknown)
	b.acts("/replacements", `{"by":"national","number":"80.01.01-008.97","function":"assessor","for":0}`, daybook.NotAnElector)
	b.acts("/replacements", `{"by":"national","number":"80.01.01-008.98","function":"assessor","for":0}`, daybook.NumberUnreadable)

	const iban = "BE68 5390 0754 7034"
	account := func(member uint16, iban string) string { return fmt.Sprintf(`{"member":%d,"iban":%q}`, member, iban) }
	b.acts("/accounts", account(1, "NL91ABNA0417164300"), daybook.Recorded)
	b.acts("/accounts", account(1, iban), daybook.Recorded)
	b.acts("/accounts", account(r.Member, "FR1420041010050500013M02606"), daybook.Recorded)
	b.acts("/accounts", account(4, iban), daybook.NotActive)
	b.acts("/accounts", account(99, iban), daybook.NoSuchMember)
	b.acts("/accounts", account(1, "BE69 5390 0754 7034"), daybook.AccountCheck)
	b.acts("/accounts", account(1, "<script>"), daybook.AccountForm)

	b.stop()
	b.start()
	for number, want := range map[uint16]daybook.Member{
		1: {Function: "president", Presence: ledger.Active, Account: true}, 4: {Function: "deputy", Presence: ledger.Absent}, 7: {Function: "secretary", Presence: ledger.NotRetained},
		2: {Function: "president", Presence: ledger.Active}, r.Member: {Function: "deputy", Presence: ledger.Active, Account: true},
	} {
		if m := b.member(number); m.Function != want.Function || m.Presence != want.Presence || m.Account != want.Account || (m.Replaces != nil) != (number == r.Member) {
			t.Errorf("after a restart member %d: %v %v %v %v", number, m.Function, m.Presence, m.Account, m.Replaces)
		}
	}
	if m := b.member(r.Member); *m.Replaces != 4 || m.Surname != stranger.Surname {
		t.Errorf("the replacement: in place of %d, the stranger's name: %v", *m.Replaces, m.Surname == stranger.Surname)
	}
	c.accountsStaySealed(office, b, []string{"5390", "BE68", "ABNA", "FR14"})
}

// accountsStaySealed looks for account numbers in all that a bureau has written, and reads what the pay office can.
func (c *commune) accountsStaySealed(office *age.HybridIdentity, b *bureau, digits []string) {
	c.t.Helper()
	b.stop()
	err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		held, err := os.ReadFile(path)
		for _, x := range digits {
			if len(x) > 4 && strings.Contains(string(held), x) {
				c.t.Errorf("%s holds an account", path)
			}
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, x := range digits {
		if strings.Contains(b.log.String(), x) {
			c.t.Errorf("the log holds an account")
		}
	}
	b.start()
	own, err := b.node.journal.From(0, 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	last := map[uint16]string{}
	for _, batch := range own {
		for _, s := range batch.Statements {
			x, ok := s.Body.(*ledger.Account)
			if !ok {
				continue
			}
			if _, err := b.node.register.OpenText(x.Sealed); err == nil {
				c.t.Error("a bureau opens an account")
			}
			plain, err := register.OpenWith(office, x.Sealed)
			if err != nil {
				c.t.Fatal(err)
			}
			a, err := plaintext.DecodeAccount(plain)
			if err != nil || a.Member != x.Member || a.Bureau != b.number {
				c.t.Fatalf("the pay office reads: %v", err)
			}
			last[a.Member] = a.IBAN.Digits()
		}
	}
	if len(last) != 2 || last[1] != "BE68539007547034" {
		c.t.Errorf("the pay office reads %d accounts", len(last))
	}
}

func TestAProxyIsRefusedByItsPaperAndNobodysRightIsUsed(t *testing.T) {
	t.Parallel()
	c, _ := staffed(t)
	b := c.bureaux[1]
	b.start()
	if err := b.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := b.node.ElectionDay(); d != "2030-10-13" {
		t.Fatalf("the election is on %s", d)
	}
	holder, principal := c.home(1, 20), c.home(1, 21)
	ask := func(p, h register.Elector, paper string) ProxyAnswer {
		return does[ProxyAnswer](b, call{path: "/proxies", body: fmt.Sprintf(
			`{"holder":{"by":"card","number":%q},"principal":{"by":"convocation","number":%q},"form":"21014/0017","reason":8,"evidence":4,"attester":1,"paper":%s}`,
			h.NationalNumber.Printed(), p.ConvocationNumber.Digits(), paper)})
	}
	late := `{"principal_signed":true,"holder_signed":false,"principal_number":true,"holder_number":true,"mayor_on":"2030-10-13"}`
	good := `{"principal_signed":true,"holder_signed":true,"principal_number":true,"holder_number":true,"mayor_on":"2030-10-12"}`
	a := ask(principal, holder, late)
	if a.Admitted || a.Recorded || len(a.Rules) != 2 || a.Rules[0].Rule != proxies.HolderSigns || a.Rules[1].Rule != proxies.MayorInTime || a.Reason == "" {
		t.Errorf("a proxy signed too late: %+v", a)
	}
	if a := ask(holder, holder, good); len(a.Rules) != 1 || a.Rules[0].Rule != proxies.TwoPersons {
		t.Errorf("a proxy for oneself: %+v", a)
	}
	if a := ask(principal, holder, good); !a.Admitted || a.Rules != nil {
		t.Errorf("the same in order: %+v", a)
	}
	if a := ask(c.home(1, 22), holder, good); a.Admitted || a.Refusal != ledger.ProxyAlreadyHeld {
		t.Errorf("a second proxy of the holder: %+v", a)
	}
	if r := b.call(call{path: "/proxies", body: `{"holder":{"by":"card","number":"1"},"principal":{"by":"card","number":"2"},"form":"1","attester":1,"paper":{"mayor_on":"yesterday"}}`}); r.code != http.StatusBadRequest {
		t.Errorf("a date that is none: %+v", r)
	}
	book, err := b.node.today(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var refused []*plaintext.RefusedProxy
	for _, x := range book.Incidents() {
		plain, err := b.node.register.OpenText(x.Text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := plaintext.DecodeRefusedProxy(plain)
		if err != nil {
			t.Fatal(err)
		}
		refused = append(refused, r)
	}
	if len(refused) != 2 || refused[0].Form != "21014/0017" || refused[0].Holder != c.token(holder) || refused[0].Attester != 1 || len(refused[0].Rules) != 2 {
		t.Errorf("%d refused proxies are recorded", len(refused))
	}
	c.until("one check-in by proxy and one refused attempt are counted", func() bool {
		if _, err := b.node.today(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := book.Declared(1)
		return d.CheckIns == 1 && d.Proxies == 1 && d.Refused == 1
	})
}

func TestCountsAlertFromAGapOfTenWithTheRowsToLookAt(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	for i := range 3 {
		b.admits(c.home(1, i))
	}
	c.bureaux[2].start() // two of three: the group gives entries
	c.until("the check-ins have entries", func() bool {
		x, err := b.node.Flow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(x.Quarters) > 0 && x.Quarters[0].FirstEntry != ""
	})
	if a := does[daybook.Tally](b, call{path: "/counts", body: `{"issued":3,"scanned":1}`}); a.CheckedIn != 3 || a.GapScanned != -2 || a.Alert {
		t.Errorf("a first count: %+v", a)
	}
	if x := does[daybook.Counts](b, get("/counts")); x.CheckedIn != 3 || len(x.Tallies) != 1 || x.Look != nil {
		t.Errorf("without a gap: %+v", x)
	}
	if a := does[daybook.Tally](b, call{path: "/counts", body: `{"issued":13,"scanned":13}`}); a.GapIssued != 10 || !a.Alert {
		t.Errorf("a gap of ten: %+v", a)
	}
	x := does[daybook.Counts](b, get("/counts"))
	if len(x.Tallies) != 2 || len(x.Look) == 0 || x.Look[len(x.Look)-1].From > x.Tallies[1].Time {
		t.Errorf("with a gap: %+v", x)
	}
	rows := 0
	for _, q := range x.Look {
		rows += q.CheckIns
	}
	if rows != 3 {
		t.Errorf("the rows to look at have %d check-ins: %+v", rows, x.Look)
	}
	for _, body := range []string{`{}`, `{"issued":1}`, `{"issued":-1,"scanned":0}`, `{"issued":4294967296,"scanned":0}`, `{"issued":"3","scanned":1}`} {
		if r := b.call(call{path: "/counts", body: body}); r.code != http.StatusBadRequest {
			t.Errorf("%s: %+v", body, r)
		}
	}
	b.stop()
	b.start()
	if x := does[daybook.Counts](b, get("/counts")); len(x.Tallies) != 2 || !x.Tallies[1].Alert || x.CheckedIn != 3 {
		t.Errorf("after a restart: %+v", x)
	}
}

func (b *bureau) load(of ledger.BureauNumber) daybook.Load {
	b.c.t.Helper()
	x, err := b.node.Flow(b.c.t.Context())
	if err != nil {
		b.c.t.Fatal(err)
	}
	for _, l := range x.Bureaux {
		if l.Bureau == of {
			return l
		}
	}
	b.c.t.Fatalf("bureau %d does not list bureau %d", b.number, of)
	return daybook.Load{}
}

func TestEveryBureauSeesTheOthersLoadStateAndMessages(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2)
	one, two := c.bureaux[1], c.bureaux[2]
	for i := range 6 {
		two.admits(c.home(2, i))
	}
	two.acts("/queue", `{"waiting":12}`, daybook.Recorded)
	two.acts("/queue", `{"waiting":5001}`, daybook.QueueTooLong)
	c.until("bureau 1 sees bureau 2's load", func() bool {
		l := one.load(2)
		return l.CheckIns == 6 && l.Waiting == 12 && l.State == daybook.Linked
	})
	if l := one.load(2); l.LastQuarter != 6 || l.Best != 6 || l.WaitMinutes != 30 || l.Electors != 30 || l.Here || l.Principal {
		t.Errorf("12 people at 6 in a quarter of an hour: %+v", l)
	}
	if l := one.load(1); !l.Here || !l.Principal || l.State != daybook.Linked || l.Waiting != -1 || l.WaitMinutes != -1 {
		t.Errorf("bureau 1 of itself: %+v", l)
	}
	if l := one.load(3); l.State != daybook.Silent || l.CheckIns != 0 {
		t.Errorf("a bureau that never was there: %+v", l)
	}
	two.acts("/messages", `{"to":1,"text":"<script>alert('file')</script> à 12 h"}`, daybook.Recorded)
	two.acts("/messages", `{"to":0,"text":"nous avons trois isoloirs libres"}`, daybook.Recorded)
	two.acts("/messages", `{"to":3,"text":"pour le 3"}`, daybook.Recorded)
	two.acts("/messages", `{"to":9,"text":"x"}`, daybook.NoSuchBureau)
	two.acts("/messages", `{"to":0,"text":""}`, daybook.MessageUnfit)
	two.acts("/messages", fmt.Sprintf(`{"to":0,"text":%q}`, strings.Repeat("x", 10_000)), daybook.MessageUnfit)
	read := func(b *bureau) []daybook.Message { return does[[]daybook.Message](b, get("/messages")) }
	c.until("the messages arrive", func() bool { return len(read(one)) == 3 })
	if m := read(one)[0]; m.From != 2 || m.To != 1 || m.Text != "<script>alert('file')</script> à 12 h" || m.Record == "" || m.Unreadable {
		t.Errorf("what arrives: %+v", m)
	}
	c.bureaux[3].start()
	c.until("bureau 3 reads what is for it and for all", func() bool { return len(read(c.bureaux[3])) == 2 })
	if strings.Contains(two.log.String()+one.log.String(), "isoloirs") {
		t.Error("a message stands in a log")
	}
	if err := two.node.CloseBureau(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.until("bureau 2 is closed", func() bool { return one.load(2).State == daybook.Closed })
	two.stop()
	two.start()
	if m := read(two); len(m) != 3 || m[2].To != 3 {
		t.Errorf("after a restart: %+v", m)
	}
}

func TestThePrincipalBureauWatchesTheCommune(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	c.opened(1, 2, 3)
	one, three := c.bureaux[1], c.bureaux[3]
	three.admits(c.home(3, 0))
	three.acts("/custody", `{"bureau":3,"key":1,"step":3,"by":1,"to":2}`, daybook.Recorded)
	three.acts("/custody", `{"bureau":2,"key":1,"step":3,"by":1,"to":2}`, daybook.PrincipalOnly)
	three.acts("/custody", `{"bureau":3,"key":1,"step":4,"by":1,"to":2}`, daybook.PrincipalOnly)
	one.acts("/custody", `{"bureau":3,"key":2,"step":4,"by":2,"to":7}`, daybook.Recorded)
	one.acts("/custody", `{"bureau":3,"key":3,"step":4,"by":2,"to":7}`, daybook.KeyUnknown)
	if r := three.call(get("/dashboard")); r.code != http.StatusBadRequest || !strings.Contains(r.problem(t), "principal bureau") {
		t.Errorf("another bureau's dashboard: %+v", r)
	}
	dashboard := func() daybook.Dashboard { return does[daybook.Dashboard](one, get("/dashboard")) }
	c.until("anchors, cosignatures, check-ins and keys are seen", func() bool {
		d := dashboard()
		return d.AnchoredSize > 0 && d.Cosigners == 3 && d.Certificate && d.CheckIns == 1 && d.Keys[4].Step == daybook.AtBureau && d.Keys[5].Step == daybook.AtPrincipal
	})
	if d := dashboard(); len(d.Bureaux) != 3 || len(d.Keys) != 6 || d.Keys[5].To != 7 || d.Forks+d.Equivocations+d.Alarms != 0 || d.Keys[0].Step != 0 {
		t.Errorf("%+v", d)
	}
}

func TestWaitingIsEstimatedFromWhoWasCountedAndThePaceAlone(t *testing.T) {
	for _, x := range [][4]int{
		{0, 0, 0, 0}, {10, 0, 0, -1}, {10, 4, 4, -1}, {10, 15, 20, 10}, {10, 0, 20, 8}, {1, 15, 15, 1}, {30, 5, 60, 90},
	} {
		if got := waitMinutes(x[0], x[1], x[2]); got != x[3] {
			t.Errorf("%d wait, %d in the last quarter, %d in the best: %d minutes, want %d", x[0], x[1], x[2], got, x[3])
		}
	}
}
