package web

import "strconv"

// maxListed is how much of a page what people wrote takes, in bytes as they are drawn: with all else a page stays below
// 60 kB, however much was written in a day.
const maxListed = 34_000

// stretch is the part of a long list that one page shows, the newest first.
type stretch struct{ From, To, Of int }

// Older says whether there is more behind it.
func (s stretch) Older() bool { return s.To < s.Of }

// stretch begins where the page was asked to, and ends where it is full; size is how long an element is drawn. It has one
// element at least, where there is one.
func (v *visit) stretch(of int, size func(i int) int) stretch {
	from, err := strconv.Atoi(v.r.URL.Query().Get("from"))
	if err != nil || from < 0 || from >= of {
		from = 0
	}
	s := stretch{From: from, To: from, Of: of}
	for full := 0; s.To < of; s.To++ {
		if full += size(s.To); full > maxListed && s.To > from {
			break
		}
	}
	return s
}
