package register

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf8"
)

const (
	// MaxQuery is the longest text that is looked for, in bytes; the rest is
	// left off.
	MaxQuery = 120
	// MaxQueryWords is how many words of it count.
	MaxQueryWords = 6
	// MaxFound is how many electors a search by name lists at most.
	MaxFound = 50
	// maxWord is the longest indexed word, in bytes; a longer one is cut.
	maxWord = 40
	// maxNameWords is how many words of one field are indexed.
	maxNameWords = 12
)

// How well a word of the query and a word of a name agree; the sum over the
// query's words ranks an elector.
const (
	pointsFolded      = 100 // the same without case and accents
	pointsSounded     = 90  // the same but for the spelling
	pointsPrefix      = 70  // the beginning of it
	pointsSoundPrefix = 60
	pointsOneSlip     = 45 // one letter wrong, missing, surplus or changed over
	pointsTwoSlips    = 30
	pointsLostFirst   = 5  // taken off when it is a first name
	pointsLostPart    = 15 // taken off when it is a part of a name written in one
	minPrefix         = 2  // letters
	minOneSlip        = 4  // sounded letters for one slip
	minTwoSlips       = 8  // sounded letters for two
)

// Found is an elector that a search by name lists.
type Found struct {
	Number  int // the elector's number in the register
	Elector Elector
	Points  int // how well it fits; only comparable within one answer
}

// Where a word stands in an elector's name.
const (
	inSurname   = 0
	inFirst     = 1
	inPart      = 2 // a part of a surname written in one (Berghe of Vandenberghe)
	placeBits   = 2
	placesCount = 3
)

// word is one distinct folded word of all names. Its folded and its sounded
// letters lie in wordIndex.text, its electors in wordIndex.places.
type word struct {
	text          uint32
	folded, sound uint8 // lengths; the sounded letters follow the folded ones
	places        uint32
}

// wordIndex finds electors by the words of their names. It is read through from
// end to end for each search: the Region's largest commune has about 40,000
// distinct words.
type wordIndex struct {
	text   []byte
	words  []word   // with one more at the end, to close the last one's places
	places []uint32 // elector << placeBits | where
}

func (x *wordIndex) wipe() {
	clear(x.text)
	clear(x.places)
	*x = wordIndex{}
}

// indexWords makes the index of all names of a register.
func indexWords(r *Register) wordIndex {
	known := make(map[string]uint32)
	var pairs []uint64 // word << 32 | place
	var x wordIndex
	for i := range r.numbers {
		surname, firstNames := r.name(i)
		put := func(w string, where uint32) {
			w = cut(w)
			id, ok := known[w]
			if !ok {
				id = uint32(len(x.words))
				known[w] = id
				s := cut(sound(w))
				x.words = append(x.words, word{text: uint32(len(x.text)), folded: uint8(len(w)), sound: uint8(len(s))})
				x.text = append(append(x.text, w...), s...)
			}
			pairs = append(pairs, uint64(id)<<32|uint64(i)<<placeBits|uint64(where))
		}
		nameWords(string(surname), inSurname, put)
		nameWords(string(firstNames), inFirst, put)
	}
	slices.Sort(pairs)
	pairs = slices.Compact(pairs)
	x.places = make([]uint32, len(pairs))
	next := 0
	for id := range x.words {
		x.words[id].places = uint32(next)
		for ; next < len(pairs) && pairs[next]>>32 == uint64(id); next++ {
			x.places[next] = uint32(pairs[next])
		}
	}
	x.words = slices.Clip(append(x.words, word{places: uint32(next)}))
	x.text = slices.Clip(x.text)
	return x
}

// nameWords hands out every word under which a name is found: each word without
// its particles, with them in one, neighbours joined (the whole of a surname,
// first names with a hyphen), and what stays of a word when a glued particle is
// taken off.
func nameWords(name string, where uint32, put func(w string, where uint32)) {
	parts := segments(name)
	parts = parts[:min(len(parts), maxNameWords)]
	whole := ""
	for k, p := range parts {
		put(p.word, where)
		if p.glued != p.word {
			put(p.glued, where)
		}
		if rest := unglue(p.word); rest != "" && where == inSurname {
			put(rest, inPart)
		}
		if where == inFirst && p.hyphen && k > 0 {
			put(parts[k-1].glued+p.glued, where)
		}
		whole += p.glued
	}
	if where == inSurname && len(parts) > 1 && len(whole) <= maxWord {
		put(whole, where)
	}
}

// cut bounds a word, between two letters.
func cut(w string) string {
	if len(w) <= maxWord {
		return w
	}
	n := maxWord
	for !utf8.RuneStart(w[n]) {
		n--
	}
	return w[:n]
}

// pattern is one way to read a word of the query.
type pattern struct {
	folded, sound []byte
	// joined says that it is two neighbouring words of the query in one; it
	// must then agree as a whole.
	joined bool
}

// patterns are the ways to read each word of a query.
func patterns(query string) [][]pattern {
	for len(query) > MaxQuery {
		_, size := utf8.DecodeLastRuneInString(query)
		query = query[:len(query)-size]
	}
	parts := segments(query)
	parts = parts[:min(len(parts), MaxQueryWords)]
	out := make([][]pattern, len(parts))
	add := func(k int, w string, joined bool) {
		w = cut(w)
		out[k] = append(out[k], pattern{[]byte(w), []byte(cut(sound(w))), joined})
	}
	for k, p := range parts {
		add(k, p.word, false)
		if p.glued != p.word {
			add(k, p.glued, false)
		}
		if k > 0 {
			both := parts[k-1].glued + p.glued
			add(k-1, both, true)
			add(k, both, true)
		}
	}
	return out
}

// points is how well the pattern agrees with a word of the index, 0 for not at
// all.
func (p *pattern) points(folded, sounded []byte) int {
	switch {
	case bytes.Equal(folded, p.folded):
		return pointsFolded
	case bytes.Equal(sounded, p.sound):
		return pointsSounded
	case p.joined:
		return 0
	case len(p.folded) >= minPrefix && bytes.HasPrefix(folded, p.folded):
		return pointsPrefix
	case len(p.sound) >= minPrefix && bytes.HasPrefix(sounded, p.sound):
		return pointsSoundPrefix
	}
	slips := 0
	if len(p.sound) >= minTwoSlips {
		slips = 2
	} else if len(p.sound) >= minOneSlip {
		slips = 1
	}
	switch d := distance(p.sound, sounded, slips); {
	case d > slips:
		return 0
	case d == 1:
		return pointsOneSlip
	}
	return pointsTwoSlips
}

// IndexNames prepares the first Search, which would otherwise take some 150 ms among 90,000 electors.
func (r *Register) IndexNames() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.closed {
		r.indexNames()
	}
}

func (r *Register) indexNames() { r.wordsOnce.Do(func() { r.words = indexWords(r) }) }

// Search lists electors by name, the best first: every word of the query must
// agree with a word of the surname or of the first names, in any order, written
// alike, spelled otherwise (see spellings), begun, or with a slip. When nobody
// has all words, those who lack one of them are listed. At most limit (and
// MaxFound) are returned; total says how many there are, so that a screen can
// ask for one more word.
func (r *Register) Search(query string, limit int) (found []Found, total int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	asked := patterns(query)
	if r.closed || len(asked) == 0 || limit <= 0 {
		return nil, 0
	}
	r.indexNames()
	points, words := r.words.score(asked, len(r.numbers))
	most := slices.Max(append(words, 0))
	if most == 0 || int(most) < len(asked)-1 {
		return nil, 0
	}
	best := ranking{r: r, limit: min(limit, MaxFound)}
	for i, n := range words {
		if n == most {
			total++
			best.offer(candidate{i, int(points[i])})
		}
	}
	for _, c := range best.list {
		found = append(found, Found{Number: c.elector, Elector: r.at(c.elector), Points: c.points})
	}
	return found, total
}

// score gives every elector the sum of points and how many words of the query
// agree.
func (x *wordIndex) score(asked [][]pattern, electors int) (points []uint16, words []uint8) {
	points, words = make([]uint16, electors), make([]uint8, electors)
	best := make([]uint8, electors) // for one word of the query
	for _, ways := range asked {
		clear(best)
		for id := range len(x.words) - 1 {
			w := &x.words[id]
			folded := x.text[w.text : w.text+uint32(w.folded)]
			sounded := x.text[w.text+uint32(w.folded) : w.text+uint32(w.folded)+uint32(w.sound)]
			p := 0
			for k := range ways {
				p = max(p, ways[k].points(folded, sounded))
			}
			if p == 0 {
				continue
			}
			lost := [placesCount]int{inFirst: pointsLostFirst, inPart: pointsLostPart}
			for _, place := range x.places[w.places:x.words[id+1].places] {
				e := place >> placeBits
				best[e] = max(best[e], uint8(p-lost[place&(1<<placeBits-1)]))
			}
		}
		for e, p := range best {
			if p > 0 {
				points[e] += uint16(p)
				words[e]++
			}
		}
	}
	return points, words
}

type candidate struct{ elector, points int }

// ranking keeps the limit best candidates, the best first: more points, then
// the shorter surname (Janssens before Janssens de Bisthoven), then the
// alphabet.
type ranking struct {
	r     *Register
	limit int
	list  []candidate
}

func (k *ranking) compare(a, b candidate) int {
	if c := cmp.Compare(b.points, a.points); c != 0 {
		return c
	}
	surnameA, firstA := k.r.name(a.elector)
	surnameB, firstB := k.r.name(b.elector)
	return cmp.Or(
		cmp.Compare(bytes.Count(surnameA, []byte(" ")), bytes.Count(surnameB, []byte(" "))),
		bytes.Compare(surnameA, surnameB), bytes.Compare(firstA, firstB), cmp.Compare(a.elector, b.elector))
}

func (k *ranking) offer(c candidate) {
	if len(k.list) == k.limit && k.compare(c, k.list[k.limit-1]) >= 0 {
		return
	}
	place, _ := slices.BinarySearchFunc(k.list, c, k.compare)
	k.list = slices.Insert(k.list, place, c)
	k.list = k.list[:min(len(k.list), k.limit)]
}

// distance is the number of slips between two words (a letter wrong, missing,
// surplus, or two changed over), or most+1 when there are more than most. It
// counts bytes; sounded Latin words have one byte a letter.
func distance(a, b []byte, most int) int {
	if most == 0 || len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	var rows [3][maxWord + 1]uint8 // two back, one back, this one
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = uint8(j)
	}
	for i := range a {
		row[0] = uint8(i + 1)
		least := row[0]
		for j := range b {
			cost := uint8(1)
			if a[i] == b[j] {
				cost = 0
			}
			d := min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row[j+1] = d
			least = min(least, d)
		}
		if int(least) > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return min(int(last[len(b)]), most+1)
}
