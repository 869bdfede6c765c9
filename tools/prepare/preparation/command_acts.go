package preparation

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"

	"pointage/ledger"
)

func runUpdate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("update", `prepare update --work DIR --by WHO [flags] INS=UPDATES.csv ...

Adds, strikes off and amends electors. The first row names the columns
action,national_number,reason,reference and those of a list; action is add, strike
or amend, reason is death, court-decision, college, correction, nationality or
moved. amend changes the columns that are not empty, a hyphen empties one.

  prepare update --work communes --by "A. Official" 21014=updates.csv
`, stdout)
	var wf workFlags
	wf.add(f.FlagSet)
	if err := f.parse(args); err != nil {
		return err
	}
	return wf.run(ctx, job{name: "update", withFile: true, once: true, do: func(ctx context.Context, w *Working, file io.Reader) (done, error) {
		n, traces, bad, err := w.Update(ctx, file)
		return done{
			say:    fmt.Sprintf("%d added, %d struck off, %d amended: %d electors", n.Added, n.Struck, n.Amended, len(w.List.People)),
			traces: traces, bad: bad, changed: true,
			details: map[string]string{"added": strconv.Itoa(n.Added), "struck": strconv.Itoa(n.Struck), "amended": strconv.Itoa(n.Amended)},
		}, err
	}}, f.Args(), stdout, stderr)
}

func runDivide(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("divide", `prepare divide --work DIR --by WHO [flags] INS ...

Divides the electors over the bureaux. Who has a bureau keeps it; --anew begins
again. --cut says what stays together: balanced (the default), sector or street.

  prepare divide --work communes --by "A. Official" --bureaux 12 --smallest 500 --largest 1200 21014
`, stdout)
	var wf workFlags
	wf.add(f.FlagSet)
	var d Division
	cut := f.String("cut", "balanced", "what stays in one bureau: `balanced, sector or street`")
	f.IntVar(&d.Bureaux, "bureaux", 0, "`number` of bureaux (default: the list's largest, else electors / 885)")
	f.IntVar(&d.Smallest, "smallest", 0, "fewest `electors` of a bureau that the law allows")
	f.IntVar(&d.Largest, "largest", 0, "most `electors` of a bureau that the law allows")
	f.BoolVar(&d.Anew, "anew", false, "divide again those who have a bureau")
	if err := f.parse(args); err != nil {
		return err
	}
	var err error
	if d.Unit, err = ParseUnit(*cut); err != nil {
		return wrongUse("divide: --cut %v", err)
	}
	if d.Bureaux < 0 || d.Bureaux > ledger.MaxBureaux || d.Smallest < 0 || d.Largest < 0 {
		return wrongUse("divide: a commune has 1 to %d bureaux, and bounds are no negative numbers", ledger.MaxBureaux)
	}
	return wf.run(ctx, job{name: "divide", do: func(_ context.Context, w *Working, _ io.Reader) (done, error) { return w.divide(d) }}, f.Args(), stdout, stderr)
}

// divide divides the working list and settles bureaux and bounds; bounds that are
// not given are those of the division before.
func (w *Working) divide(d Division) (done, error) {
	if d.Smallest == 0 {
		d.Smallest = w.Smallest
	}
	if d.Largest == 0 {
		d.Largest = w.Largest
	}
	before := make([]ledger.BureauNumber, len(w.List.People))
	for i := range before {
		before[i] = w.List.People[i].Bureau
	}
	if d.Anew || w.Bureaux == 0 {
		w.List.Bureaux = largestBureau(w.List)
	}
	if err := w.List.DivideBy(d); err != nil {
		return done{}, err
	}
	moved := 0
	for i := range before {
		p := &w.List.People[i]
		if p.Bureau != before[i] {
			moved++
		}
		if int(p.Serves) > w.List.Bureaux {
			return done{}, refused(whyBureau, "a member serves in bureau %d: give at least as many bureaux, or designate the members anew", p.Serves)
		}
	}
	changed := moved > 0 || w.Bureaux != w.List.Bureaux || w.Smallest != d.Smallest || w.Largest != d.Largest
	w.Bureaux, w.Smallest, w.Largest = w.List.Bureaux, d.Smallest, d.Largest
	m := figures(w.List)
	return done{
		say:     fmt.Sprintf("%d electors in %d bureaux of %d to %d, %d of them placed now", m.Electors, m.Bureaux, m.Smallest, m.Largest, moved),
		changed: changed,
		details: map[string]string{"bureaux": strconv.Itoa(m.Bureaux), "cut": d.Unit.String(), "placed": strconv.Itoa(moved)},
	}, nil
}

func largestBureau(l *List) int {
	n := 0
	for i := range l.People {
		n = max(n, int(l.People[i].Bureau))
	}
	return n
}

func runNumber(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("number", `prepare number --work DIR --by WHO [flags] INS ...

Gives a convocation number to every elector without one. Numbers that were given
stay, and those of electors who were struck off are given to nobody else.

  prepare number --work communes --by "A. Official" 21014
`, stdout)
	var wf workFlags
	wf.add(f.FlagSet)
	text := f.String("modulo97", "", "check digits: `complement or remainder` (default: the list's, else complement)")
	if err := f.parse(args); err != nil {
		return err
	}
	method, err := parseMethod(*text)
	if err != nil {
		return err
	}
	return wf.run(ctx, job{name: "number", do: func(_ context.Context, w *Working, _ io.Reader) (done, error) { return w.number(method) }}, f.Args(), stdout, stderr)
}

// number numbers the working list; method 0 takes the list's, else Complement.
func (w *Working) number(method ledger.Modulo97) (done, error) {
	if w.Bureaux == 0 {
		return done{}, refused(whyTurn, "the list of %d is not divided yet: divide it first, since numbers follow the bureaux", w.List.Commune.INS)
	}
	if method == 0 {
		method = w.Method
	}
	if method == 0 {
		method = ledger.Complement
	}
	given := 0
	for i := range w.List.People {
		if w.List.People[i].Bureau == 0 {
			return done{}, refused(whyTurn, "electors of %d were added since the division: divide again first", w.List.Commune.INS)
		}
		if w.List.People[i].ConvocationNumber.IsZero() {
			given++
		}
	}
	if err := w.List.Number(method, w.Retired...); err != nil {
		return done{}, err
	}
	changed := given > 0 || w.Method != method
	w.Method = method
	return done{
		say:     fmt.Sprintf("%d numbers given by %v, %d electors have one", given, method, len(w.List.People)),
		changed: changed, details: map[string]string{"given": strconv.Itoa(given), "method": method.String()},
	}, nil
}

func runMark(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("mark", `prepare mark --work DIR --by WHO [flags] INS=MARTINE.csv ...

Marks the candidates of the final lists. The first row names the columns
national_number,list and, if they are there, commune,place,surname,first_names.
Who is not in the file loses the mark.

  prepare mark --work communes --by "A. Official" 21014=martine.csv
`, stdout)
	return runFileAct(ctx, f, "mark", args, stdout, stderr, func(ctx context.Context, w *Working, file io.Reader) (done, error) {
		n, traces, bad, err := w.Mark(ctx, file)
		return done{
			say: fmt.Sprintf("%d candidates are marked, %d marks changed", n, len(traces)), traces: traces, bad: bad, changed: len(traces) > 0,
			details: map[string]string{"candidates": strconv.Itoa(n)},
		}, err
	})
}

func runMembers(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("members", `prepare members --work DIR --by WHO [flags] INS=MEMBERS.csv ...

Designates the members of the bureaux. The first row names the columns
national_number,bureau,function; function is president, deputy, secretary,
assessor or substitute. Who is not in the file is no member any more. Members vote
in the bureau where they serve.

  prepare members --work communes --by "A. Official" 21014=members.csv
`, stdout)
	return runFileAct(ctx, f, "members", args, stdout, stderr, func(ctx context.Context, w *Working, file io.Reader) (done, error) {
		n, traces, bad, err := w.Designate(ctx, file)
		return done{
			say: fmt.Sprintf("%d members are designated, %d changed", n, len(traces)), traces: traces, bad: bad, changed: len(traces) > 0,
			details: map[string]string{"members": strconv.Itoa(n)},
		}, err
	})
}

func runBureaux(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("bureaux", `prepare bureaux --work DIR --by WHO [flags] INS=BUREAUX.csv ...

Settles where the bureaux sit and which leads. The first row names the columns
bureau,place,role; role is principal, deputy, second (the seat of a second person
who signs amendments) or empty.

  prepare bureaux --work communes --by "A. Official" 21014=bureaux.csv
`, stdout)
	return runFileAct(ctx, f, "bureaux", args, stdout, stderr, func(ctx context.Context, w *Working, file io.Reader) (done, error) {
		if w.Bureaux == 0 {
			return done{}, refused(whyTurn, "the list of %d is not divided yet: divide it first", w.List.Commune.INS)
		}
		o, bad, err := ReadOffices(ctx, file, w.Bureaux)
		w.Principal, w.Deputy, w.Seconds, w.Places = o.Principal, o.Deputy, o.Seconds, o.Places
		if err == nil && len(bad) == 0 {
			g := Group{Principal: o.Principal, Deputy: o.Deputy, Commune: w.List.Commune.INS, Bureaux: w.Bureaux}
			err = g.offices()
			return done{
				say: fmt.Sprintf("%d places, principal bureau %d, deputy %d", len(o.Places), g.Principal, g.Deputy), changed: true,
				details: map[string]string{"principal": strconv.Itoa(int(g.Principal)), "deputy": strconv.Itoa(int(g.Deputy))},
			}, err
		}
		return done{bad: bad}, err
	})
}

// runFileAct runs an act that has a file and no flags of its own.
func runFileAct(ctx context.Context, f act, name string, args []string, stdout, stderr io.Writer,
	do func(context.Context, *Working, io.Reader) (done, error),
) error {
	var wf workFlags
	wf.add(f.FlagSet)
	if err := f.parse(args); err != nil {
		return err
	}
	return wf.run(ctx, job{name: name, withFile: true, do: do}, f.Args(), stdout, stderr)
}

// workOnly are the flags of acts that only read.
func workOnly(f *flag.FlagSet) *string {
	return f.String("work", "", "`directory` of the communes' working directories")
}
