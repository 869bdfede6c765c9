package node

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/daybook"
	"pointage/node/register"
)

// Attendance lists who was convened for this bureau, who replaces them, and what was last said of each. Somebody
// who is convened for another bureau is listed once this bureau has spoken of him.
func (n *Node) Attendance(ctx context.Context) (daybook.Attendance, error) {
	if err := n.enter(); err != nil {
		return daybook.Attendance{}, err
	}
	defer n.acts.RUnlock()
	book, err := n.today(ctx)
	if err != nil {
		return daybook.Attendance{}, err
	}
	return n.attendance(book), nil
}

func (n *Node) attendance(book *daybook.Book) daybook.Attendance {
	out := daybook.Attendance{Members: []daybook.Member{}, PayOffice: n.prepared.Commune.PayOffice != ""}
	presence, accounts := book.Presence(n.cfg.Bureau), book.Accounts(n.cfg.Bureau)
	for _, m := range n.members {
		said, known := presence[m.Number]
		if m.Bureau == n.cfg.Bureau || known {
			out.Members = append(out.Members, n.memberOf(daybook.Member{Number: m.Number, Function: m.Function.String(), Presence: said}, m.NationalNumber))
		}
	}
	for _, r := range n.replacements(book) {
		replaced := int(r.For)
		if r.For == 0 {
			replaced = -1
		}
		m := daybook.Member{Number: r.Number, Function: register.Function(r.Function).String(), Presence: presence[r.Number], Replaces: &replaced}
		out.Members = append(out.Members, n.memberOf(m, r.NationalNumber))
	}
	for i := range out.Members {
		_, out.Members[i].Account = accounts[out.Members[i].Number]
	}
	return out
}

// memberOf adds the names that the register has.
func (n *Node) memberOf(m daybook.Member, who ledger.NationalNumber) daybook.Member {
	if i, ok := n.register.FindNationalNumber(who); ok {
		e := n.register.At(i)
		m.Surname, m.FirstNames = e.Surname, e.FirstNames
	}
	return m
}

// replacements are this bureau's own, in their order.
func (n *Node) replacements(book *daybook.Book) (out []*plaintext.Replacement) {
	for _, x := range book.Incidents() {
		if x.From != n.cfg.Bureau || x.Code != plaintext.IncidentReplacement {
			continue
		}
		plain, err := n.register.OpenText(x.Text)
		if err != nil {
			continue // nobody's; the report has it
		}
		if r, err := plaintext.DecodeReplacement(plain); err == nil && r.Bureau == n.cfg.Bureau {
			out = append(out, r)
		}
	}
	return out
}

// RecordAttendance states what became of a member at the opening; the last word counts. Somebody convened for
// another bureau of the commune may be sent here.
func (n *Node) RecordAttendance(ctx context.Context, member uint16, p ledger.Presence) (daybook.Refusal, error) {
	return n.state(ctx, func(book *daybook.Book) (ledger.Body, daybook.Refusal, error) {
		switch {
		case p < ledger.Active || p > ledger.Absent:
			return nil, daybook.PresenceUnknown, nil
		case !n.isMember(book, member):
			return nil, daybook.NoSuchMember, nil
		}
		return &ledger.Attendance{Member: member, Presence: p}, daybook.Recorded, nil
	})
}

// isMember says that a number is of somebody convened in the commune, or who replaces a member here.
func (n *Node) isMember(book *daybook.Book, number uint16) bool {
	_, convened := slices.BinarySearchFunc(n.members, number, func(m register.Member, k uint16) int { return cmp.Compare(m.Number, k) })
	return convened || slices.ContainsFunc(n.replacements(book), func(r *plaintext.Replacement) bool { return r.Number == number })
}

// Replace states that an elector of the commune serves as a member, active from now on; number is the new
// member's. Who it is stands sealed in the statement.
func (n *Node) Replace(ctx context.Context, x daybook.Replacement) (number uint16, why daybook.Refusal, err error) {
	n.day.replacing.Lock() // one number each
	defer n.day.replacing.Unlock()
	why, err = n.state(ctx, func(book *daybook.Book) (ledger.Body, daybook.Refusal, error) {
		r, why := n.replacement(book, x)
		if why != daybook.Recorded {
			return nil, why, nil
		}
		number = r.Number
		sealed, err := n.register.SealText(r.Encode())
		return &ledger.Incident{Code: plaintext.IncidentReplacement, Sealed: sealed}, daybook.Recorded, err
	})
	if err != nil || why != daybook.Recorded {
		return 0, why, err
	}
	why, err = n.RecordAttendance(ctx, number, ledger.Active)
	return number, why, err
}

func (n *Node) replacement(book *daybook.Book, x daybook.Replacement) (*plaintext.Replacement, daybook.Refusal) {
	f, err := register.ParseFunction(x.Function)
	if err != nil {
		return nil, daybook.FunctionUnknown
	}
	if x.For != 0 && !n.isMember(book, x.For) {
		return nil, daybook.NoSuchMember
	}
	i, found, err := n.elector(Identification{By: x.By, Number: x.Number})
	switch {
	case err != nil:
		return nil, daybook.NumberUnreadable
	case !found:
		return nil, daybook.NotAnElector
	}
	who, before := n.register.At(i).NationalNumber, n.replacements(book)
	if slices.ContainsFunc(n.members, func(m register.Member) bool { return m.NationalNumber == who }) ||
		slices.ContainsFunc(before, func(r *plaintext.Replacement) bool { return r.NationalNumber == who }) {
		return nil, daybook.AlreadyMember
	}
	number, ok := plaintext.ReplacementNumber(n.cfg.Bureau, len(before))
	if !ok {
		return nil, daybook.TooManyReplaced
	}
	return &plaintext.Replacement{Bureau: n.cfg.Bureau, Number: number, For: x.For, Function: uint8(f), NationalNumber: who}, daybook.Recorded
}

// actAnswer is what came of an act that states something.
type actAnswer struct {
	Recorded bool            `json:"recorded"`
	Refusal  daybook.Refusal `json:"refusal"`
	Reason   string          `json:"reason"`
	// Member is the number of a replacement.
	Member uint16 `json:"member,omitempty"`
}

func actAnswerOf(why daybook.Refusal, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return actAnswer{Recorded: why == daybook.Recorded, Refusal: why, Reason: why.String()}, nil
}

func (a *api) attendance(r *http.Request) (any, error) { return a.node.Attendance(r.Context()) }

func (a *api) recordAttendance(r *http.Request) (any, error) {
	var in struct {
		Member   uint16          `json:"member"`
		Presence ledger.Presence `json:"presence"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return actAnswerOf(a.node.RecordAttendance(r.Context(), in.Member, in.Presence))
}

func (a *api) replace(r *http.Request) (any, error) {
	var in daybook.Replacement
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	number, why, err := a.node.Replace(r.Context(), in)
	if err != nil {
		return nil, err
	}
	return actAnswer{Recorded: why == daybook.Recorded, Refusal: why, Reason: why.String(), Member: number}, nil
}
