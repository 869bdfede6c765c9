package web

import (
	"fmt"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// The steps of the first half hour, in their order; their words are course.N and course.N-how.
const (
	courseSignIn = 1 + iota
	courseOpen
	courseAdmit
	courseAgain
	courseAway
	courseProxy
	courseCorrect
	courseCut
	courseClose
	lastCourse = courseClose
	// cutNote is the journal's note that somebody was checked in without a link in a rehearsal: the chain does not say so.
	cutNote = "screens/course-cut"
	// linkedNote is the journal's note that another bureau has answered here: who has heard nobody can't be cut off.
	linkedNote = "screens/course-linked"
)

// course is the guided first half hour of a rehearsal: what was really done in this bureau is ticked off, and the next
// step says how. A live election has none.
type course struct {
	Steps []courseStep
	Done  int
	// Next is nil when all is done, and once the bureau is closed: Ended says that it is, with steps left out.
	Next  *courseStep
	Ended bool
}

// courseStep is one thing to try.
type courseStep struct {
	Number int
	Done   bool
	Title  string
	How    string
	// Left is why it can't be tried, empty when it can.
	Left string
	// To is the page where it is done, empty for none; Link is that page's word in the menu.
	To, Link string
}

func courseKeys() (out []string) {
	for i := courseSignIn; i <= lastCourse; i++ {
		out = append(out, courseKey(i), courseKey(i)+"-how")
	}
	return append(out, courseNobody, courseSingle)
}

// courseNobody and courseSingle say why the network can't be cut off.
var courseNobody, courseSingle = courseKey(courseCut) + "-nobody", courseKey(courseCut) + "-single"

func courseKey(i int) string { return fmt.Sprintf("course.%d", i) }

// Course is what the guide shows to who is signed in at a rehearsal, nil otherwise.
func (x *view) Course() *course {
	if x.Facts.Live || x.Who.Code == 0 {
		return nil
	}
	st, out := x.State, &course{}
	done := map[int]bool{
		courseSignIn: true, courseOpen: st.Open || st.Closed, courseAdmit: st.Done.Home > 0, courseAgain: st.Done.Again > 0,
		courseAway: st.Done.Away+st.Done.Elsewhere > 0, courseProxy: st.Done.Proxies > 0, courseCorrect: st.Done.Undone > 0,
		courseCut: x.v.bureau.Kept(cutNote) != nil, courseClose: st.Closed,
	}
	for i := courseSignIn; i <= lastCourse; i++ {
		s := courseStep{Number: i, Done: done[i], Title: x.T(courseKey(i))}
		if p := map[int]*page{courseOpen: &openingPage, courseProxy: &proxiesPage, courseClose: &closingPage}[i]; p != nil {
			s.To, s.Link = "/"+p.name, x.Nav(p)
		} else if i > courseOpen {
			s.To, s.Link = "/"+checkinPage.name, x.Nav(&checkinPage)
		}
		if i == courseCut && !s.Done {
			s.Left = x.uncut()
		}
		out.Steps = append(out.Steps, s)
		if s.Done {
			out.Done++
		}
	}
	if st.Closed {
		out.Ended = out.Done < out.All()
		return out
	}
	for i := range out.Steps {
		if s := &out.Steps[i]; !s.Done && s.Left == "" {
			s.How = x.T(courseKey(s.Number)+"-how", x.tries(s.Number)...)
			out.Next = s
			break
		}
	}
	return out
}

// uncut says why nobody can be cut off here, empty when one can.
func (x *view) uncut() string {
	switch {
	case x.State.Others == 0:
		return x.T(courseSingle)
	case x.State.Connected == 0 && x.v.bureau.Kept(linkedNote) == nil:
		return x.T(courseNobody)
	}
	return ""
}

// tries are the numbers that a step's words name.
func (x *view) tries(step int) (out []any) {
	own, most := true, 0
	switch step {
	case courseAdmit, courseCorrect, courseCut:
		most = 1
	case courseAway:
		own, most = false, 1
	case courseProxy:
		most = 2
	}
	if most == 0 {
		return nil
	}
	var found []ledger.ConvocationNumber
	if most > 0 {
		found = x.v.bureau.Examples(own, most)
	}
	for i := range most {
		text := x.T("course.any")
		if i < len(found) {
			text = found[i].Printed()
		}
		out = append(out, text)
	}
	return out
}

// sawCut notes in a rehearsal that another bureau answered, and later that check-ins wait here because nobody answers any
// more: a machine that is only slow goes on alone for a moment too, and is not cut off; nor is one that never heard anybody.
func (v *visit) sawCut() error {
	if v.bureau.Facts().Live || v.bureau.Kept(cutNote) != nil {
		return nil
	}
	st, linked := v.bureau.State(), v.bureau.Kept(linkedNote) != nil
	switch {
	case st.Connected > 0 && !linked:
		return v.bureau.Keep(v.r.Context(), linkedNote, []byte{1})
	case !linked || !st.Open || st.Link != pollbook.Alone || st.Connected > 0 || st.Backlog == 0 || st.Done.Marks() == 0:
		return nil
	}
	return v.bureau.Keep(v.r.Context(), cutNote, []byte{1})
}

// All says how much is done.
func (c *course) All() int { return len(c.Steps) }
