package web

import (
	"time"

	"pointage/node/daybook"
)

var closingPage = page{name: "closing", who: president, nav: true, show: showClosing, acts: map[string]act{"ask": askClosing, "do": doClose}}

// closingView is the closing: asked twice, since nobody is admitted afterwards.
type closingView struct {
	Closes time.Time
	Early  bool
	// Sure: the first question was answered, and the second is shown.
	Sure bool
	// Count says how the ballots agree with the check-ins.
	Count step
}

func showClosing(v *visit) (any, error) { return v.closing(false) }

func (v *visit) closing(sure bool) (any, error) {
	e, err := v.bureau.Evening(v.r.Context())
	if err != nil {
		return nil, err
	}
	f, count := v.bureau.Facts(), v.countStep(&e)
	first(&count)
	count.Said = v.lang.say(markKey(count.Mark))
	return closingView{Closes: f.Closes, Early: v.now().Before(f.Closes), Sure: sure, Count: count}, nil
}

func askClosing(v *visit) (reply, error) {
	empty := v.r.PostForm.Get("queue") == "empty"
	if !empty {
		v.said(false, "closing.queue-first")
	}
	data, err := v.closing(empty)
	return reply{data: data}, err
}

// doClose closes the bureau, and records its minutes at once where the ballots were counted and agree. Where they can't be
// recorded the bureau is closed all the same; the page that follows offers it.
func doClose(v *visit) (reply, error) {
	if v.r.PostForm.Get("queue") != "empty" || v.r.PostForm.Get("sure") != "yes" {
		return askClosing(v)
	}
	ctx := v.r.Context()
	if st := v.bureau.State(); st.Open { // else it was pressed twice, or at two tables
		if err := v.bureau.CloseBureau(ctx); err != nil {
			return reply{}, err
		}
		v.said(true, "closing.done", clockText(v.now()), v.bureau.State().Admitted)
	}
	e, err := v.bureau.Evening(ctx)
	if err == nil && e.Own == nil && settled(&e) {
		if _, err = v.bureau.RecordMinutes(ctx, v.bureau.Facts().Bureau); err == nil {
			v.said(true, "evening.recorded")
		}
	}
	if err != nil {
		v.log.Error("the minutes were not recorded at the closing", "err", err)
		v.said(false, "evening.not-recorded")
	}
	return reply{to: "/evening"}, nil
}

// settled says that the ballots were counted with the check-ins that stand, and that they agree.
func settled(e *daybook.Evening) bool { return e.Counted() && !e.Last.Alert }
