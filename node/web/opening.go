package web

import (
	"time"

	"pointage/ledger"
)

// maxSkew is how far a bureau's clock may be from the others' without a warning.
const maxSkew = 2 * time.Minute

var openingPage = page{name: "opening", who: president, nav: true, unlisted: (*Server).wasOpened, show: showOpening, acts: map[string]act{"do": doOpen}}

// openingView is the opening ritual: each line that the president reads before the bureau opens.
type openingView struct {
	Checks []check
	// Ready: nothing keeps the bureau from opening. Doubts are told and don't.
	Ready, Doubts bool
	Early         bool
}

// check is one line of the ritual.
type check struct {
	// Mark is ok, doubt or bad.
	Mark  string
	Title string
	Text  string
	Do    string
	// To is the page where something is to be done about it, Link its words; both are empty for none.
	To, Link string
}

// Sign is the mark as a character.
func (c check) Sign() string {
	return map[string]string{"ok": "✔", "doubt": "!", "bad": "✖"}[c.Mark]
}

// wasOpened takes the page out of the menu once the bureau has been opened.
func (s *Server) wasOpened() bool { st := s.bureau.State(); return st.Open || st.Closed }

func showOpening(v *visit) (any, error) {
	f, st := v.bureau.Facts(), v.bureau.State()
	out := openingView{Ready: true, Early: v.now().Before(f.Opens.Add(-time.Hour))}
	x := v.view(nil)
	say := v.lang.say
	out.add(v.checkKind(f), v.checkKey(f, st), v.checkMedia(st), v.checkClock(f))
	out.add(check{Mark: "ok", Title: say("opening.register"), Text: say("opening.register-is", f.Electors, f.Home, dayText(f.RegisterOn), x.Hash(f.Register))})
	out.add(v.checkChain(st, x))
	members, err := v.checkMembers()
	if err != nil {
		return nil, err
	}
	out.add(members...)
	out.add(check{Mark: "ok", Title: say("opening.manifest"), Text: x.Hash(f.Manifest), Do: say("opening.manifest-do")})
	program := check{Mark: "ok", Title: say("opening.program"), Text: x.Hash(f.Program), Do: say("opening.program-do")}
	if f.Program == (ledger.Hash{}) {
		program.Mark, program.Text, program.Do = "doubt", say("opening.program-unknown"), say("opening.program-unknown-do")
	}
	out.add(program)
	network := check{Mark: "ok", Title: say("opening.network"), Text: say("opening.network-is", st.Connected, st.Others, say(linkKey(st.Link)))}
	if st.Connected == 0 && st.Others > 0 {
		network.Mark, network.Text, network.Do = "doubt", say("opening.network-none", st.Others), say("opening.network-do")
	}
	out.add(network)
	return out, nil
}

// checkKind says first of all whether what follows counts.
func (v *visit) checkKind(f Facts) check {
	say := v.lang.say
	if f.Live {
		return check{Mark: "ok", Title: say("opening.kind"), Text: say("opening.live")}
	}
	return check{Mark: "doubt", Title: say("opening.kind"), Text: say("opening.rehearsal"), Do: say("opening.rehearsal-do")}
}

// checkChain proves that nobody was checked in here before: the bureau's own chain was read statement by statement, its
// signatures and hashes were checked when its media were opened.
func (v *visit) checkChain(st State, x *view) check {
	say := v.lang.say
	if st.Done.Marks() > 0 || st.Open || st.Closed {
		return check{Mark: "doubt", Title: say("opening.chain-used"), Text: say("opening.chain-not-empty", st.Admitted, st.Own), Do: say("opening.chain-do")}
	}
	return check{Mark: "ok", Title: say("opening.chain"), Text: say("opening.chain-empty", x.Hash(st.LedgerHead), st.LedgerSize, st.Own)}
}

// checkMembers says who serves (decree art. 8 § 1), and who can sign in.
func (v *visit) checkMembers() ([]check, error) {
	say := v.lang.say
	a, err := v.bureau.Attendance(v.r.Context())
	if err != nil {
		return nil, err
	}
	said := map[ledger.Presence]int{}
	for _, m := range a.Members {
		said[m.Presence]++
	}
	members := check{
		Mark: "ok", Title: say("opening.members"), Text: say("opening.members-are", said[ledger.Active], said[ledger.NotRetained], said[ledger.Absent], said[0]),
		To: "/attendance", Link: say("opening.members-to"),
	}
	if said[0] > 0 {
		members.Mark, members.Do = "doubt", say("opening.members-do")
	}
	if len(a.Members) == 0 {
		members.Text = say("attendance.nobody")
	}
	pins := check{Mark: "ok", Title: say("opening.pins"), Text: say("opening.pins-are", len(v.team.list())), To: "/team", Link: say("opening.pins-to")}
	if len(v.team.list()) == 0 {
		pins.Mark, pins.Do = "doubt", say("opening.pins-do")
	}
	return []check{members, pins}, nil
}

func (o *openingView) add(checks ...check) {
	for _, c := range checks {
		o.Checks = append(o.Checks, c)
		o.Ready = o.Ready && c.Mark != "bad"
		o.Doubts = o.Doubts || c.Mark == "doubt"
	}
}

// checkKey compares the key's place with the bureau's: whoever sits elsewhere has another bureau's pouch, and its place is
// changed by two.
func (v *visit) checkKey(f Facts, st State) check {
	say := v.lang.say
	here := v.bureau.Place(f.Bureau)
	c := check{Mark: "ok", Title: say("opening.key"), Text: say("opening.key-is", f.Bureau, here), Do: say("opening.key-do"), To: "/relabel", Link: say("opening.key-to")}
	switch {
	case st.Retired:
		return check{Mark: "bad", Title: say("opening.key-other"), Text: say("opening.key-retired"), Do: say("opening.key-retired-do")}
	case here != f.KeyPlace:
		c.Text = say("opening.key-relabelled", f.Bureau, here, f.KeyPlace)
	}
	return c
}

// checkMedia says how the machine's disk and the two keys are.
func (v *visit) checkMedia(st State) check {
	say := v.lang.say
	names := []string{say("media.0"), say("media.1"), say("media.2")}
	c := check{Mark: "ok", Title: say("opening.media")}
	good := 0
	for i, m := range st.Media {
		key := "media.good"
		switch {
		case !m.Attached:
			key = "media.absent"
		case m.Fault != "":
			key = "media.failed"
		default:
			good++
		}
		if i > 0 {
			c.Text += " · "
		}
		c.Text += names[i] + ": " + say(key)
	}
	switch {
	case good < 2 || st.Fault != "":
		c.Mark, c.Do = "bad", say("opening.media-bad-do")
	case good < 3:
		c.Mark, c.Do = "doubt", say("opening.media-do")
	}
	return c
}

// checkClock compares this machine's clock with the other bureaux', and with the day of the poll: a bureau that is alone
// has nobody else to tell it that its clock is a day off.
func (v *visit) checkClock(f Facts) check {
	say, now := v.lang.say, v.now()
	c := check{Mark: "ok", Title: say("opening.clock")}
	clocks := v.bureau.Clocks(v.r.Context())
	var worst Clock
	for _, x := range clocks {
		if x.Ahead.Abs() >= worst.Ahead.Abs() {
			worst = x
		}
	}
	switch {
	case len(clocks) == 0:
		c.Mark, c.Text, c.Do = "doubt", say("opening.clock-alone", dayText(now)), say("opening.clock-alone-do")
	case worst.Ahead.Abs() > maxSkew+worst.Within:
		c.Mark, c.Text, c.Do = "doubt", say("opening.clock-is", dayText(now), len(clocks), v.lang.span(worst.Ahead)), say("opening.clock-do", worst.Bureau)
	default:
		c.Text = say("opening.clock-is", dayText(now), len(clocks), v.lang.span(worst.Ahead))
	}
	if dateOn(now) != dateOn(f.Opens) {
		c.Mark, c.Text, c.Do = "doubt", c.Text+" "+say("opening.clock-day", dateOn(f.Opens)), say("opening.clock-day-do")
	}
	return c
}

// dateOn is a day in Brussels.
func dateOn(t time.Time) string { return t.In(brussels).Format("02.01.2006") }

// span is how far a clock is off, in the largest unit that says it.
func (l language) span(d time.Duration) string {
	d = d.Abs().Round(time.Second)
	switch {
	case d < time.Minute:
		return l.say("opening.seconds", int(d/time.Second))
	case d < time.Hour:
		return l.say("opening.minutes", int(d.Round(time.Minute)/time.Minute))
	}
	return l.say("opening.hours", int(d.Round(time.Hour)/time.Hour))
}

// doOpen declares the bureau open.
func doOpen(v *visit) (reply, error) {
	data, err := showOpening(v)
	if err != nil {
		return reply{}, err
	}
	if o := data.(openingView); !o.Ready || v.r.PostForm.Get("confirm") != "yes" {
		if o.Ready {
			v.said(false, "opening.confirm-first")
		}
		return reply{data: data}, nil
	}
	if err := v.bureau.Open(v.r.Context()); err != nil {
		return reply{}, err
	}
	v.said(true, "opening.done", clockText(v.now()))
	return reply{to: "/check-in"}, nil
}
