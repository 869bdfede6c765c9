package register

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A name is looked for in two forms.
//
// The folded word is what stays without case and accents: "Lefèvre" and
// "LEFEVRE" are both "lefevre".
//
// The sounded word also forgets how French and Dutch names are spelled in one
// family and not in the next; spellings has the rules. It only serves to find:
// who is found by the folded word stands before who is found by the sounded
// one, so a rule that joins two different names costs a place in the list and
// nothing else.

// letters that have no accent to take off, as they are commonly written
// without them.
var letters = strings.NewReplacer(
	"œ", "oe", "æ", "ae", "ß", "ss", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i", "ĳ", "ij", "ŋ", "n",
)

// spellings joins spellings of one sound. The longest comes first where one is
// the beginning of another; a word passes through once, from left to right.
var spellings = strings.NewReplacer(
	// Meijer, Meyer, Meier; Reyniers, Reiniers; Thijs, Thys: ij, y, ei, ey are one.
	"eij", "i", "ij", "i", "ey", "i", "ei", "i", "ie", "i", "y", "i",
	// Claes, Klaas; Verhaegen, Verhagen: old Flemish ae is aa.
	"ae", "a", "aa", "a",
	// Schröder, Schroeder; Müller, Mueller.
	"oe", "o", "ue", "u",
	// Oumar, Umar; Boujemaa, Bujemaa.
	"ou", "u",
	// Delvaux, Delvau, Delveaux; Moreau, Moraux.
	"eaux", "o", "eau", "o", "aux", "o", "au", "o",
	// Dierickx, Dieriks, Dierix; Jacques, Jakes; Claes, Klaes; Cecile keeps its s.
	"ckx", "ks", "cks", "ks", "cx", "ks", "ck", "k", "ce", "se", "ci", "si", "cy", "si",
	"sch", "sch", "ch", "ch", "cqu", "k", "c", "k", "qu", "k", "q", "k", "x", "ks",
	// Thomas, Tomas; De Smedt, De Smet; Philippe, Filip; Verbrugghe, Verbrugge.
	"th", "t", "dt", "t", "ph", "f", "gh", "g", "rh", "r",
	// Lefebvre, Lefèvre; Kowalski, Kovalski.
	"bv", "v", "w", "v", "z", "s",
)

// Fold takes off case and accents: "LEFÈVRE" and "Lefevre" are both "lefevre".
func Fold(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		plain = plain && c < 0x80 && (c < 'A' || c > 'Z')
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFKD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return letters.Replace(b.String())
}

// sound is the sounded form of a folded word.
func sound(folded string) string {
	s := spellings.Replace(folded)
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		// Double letters are one: Mohammed, Mohamed; Willems, Wilems.
		if i == 0 || s[i] != s[i-1] {
			out = append(out, s[i])
		}
	}
	// Philippe, Filip; Claire, Clair.
	if n := len(out); n > 4 && out[n-1] == 'e' {
		out = out[:n-1]
	}
	// Dupond, Dupont; Bernard, Bernart.
	if n := len(out); n > 3 && out[n-1] == 'd' {
		out[n-1] = 't'
	}
	return string(out)
}

// particles are the small words before a name that people leave out, put
// elsewhere, or write in one with it.
var particles = func() map[string]bool {
	set := map[string]bool{}
	for _, p := range strings.Fields(`van vande vanden vander der den ver ter ten te t op de des du d del della di da dos das do
		le la les l el al ul ben bin bint ibn ait ould o von zu y`) {
		set[p] = true
	}
	return set
}()

// gluedParticles are those that are taken off a name written in one word, when
// four letters or more stay: Vandenberghe is also found under Berghe.
var gluedParticles = []string{"vanden", "vander", "vande", "van", "ben", "el", "de"}

// minGluedRest is how many letters must stay when a glued particle is taken off.
const minGluedRest = 4

// segment is a word with the particles before it.
type segment struct {
	word  string // folded, without its particles: "berghe"
	glued string // with them in one: "vandenberghe"; equal to word without any
	// hyphen says that the word before is joined to this one: Marie-Claire.
	hyphen bool
}

// segments cuts a name into words with their particles. Particles with no word
// after them are words themselves: Lê and De are surnames too.
func segments(name string) []segment {
	var out []segment
	var pending []string
	hyphen, hyphenBefore := false, false
	flush := func(word string, apostrophe bool) {
		if word == "" {
			return
		}
		if len(pending) == 0 {
			hyphenBefore = hyphen
		}
		// One letter before an apostrophe is no word: N'Diaye, M'Barek, O'Brien.
		if particles[word] || apostrophe && len(word) == 1 {
			pending = append(pending, word)
			return
		}
		out = append(out, segment{word, strings.Join(pending, "") + word, hyphenBefore})
		pending = pending[:0]
	}
	folded := Fold(name)
	start := -1
	for i, r := range folded {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			flush(folded[start:i], strings.ContainsRune("'’ʼ`´", r))
			start, hyphen = -1, false
		}
		hyphen = r == '-' || r == '‐' || r == '‑'
	}
	if start >= 0 {
		flush(folded[start:], false)
	}
	if len(pending) > 0 {
		for _, p := range pending {
			out = append(out, segment{p, p, false})
		}
	}
	return out
}

// unglue is a word without the particle that is written in one with it, or "".
func unglue(word string) string {
	for _, p := range gluedParticles {
		if rest, ok := strings.CutPrefix(word, p); ok && len(rest) >= minGluedRest {
			return rest
		}
	}
	return ""
}
