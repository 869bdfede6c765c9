package web

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Brussels' time, on a machine without zones

	"pointage/ledger"
)

// language is one in which the screens speak: fr, nl, en.
type language string

// The languages; English is for testers.
const (
	french  language = "fr"
	dutch   language = "nl"
	english language = "en"
)

var languages = []language{french, dutch, english}

// Name is the language's own name.
func (l language) Name() string {
	return map[language]string{french: "Français", dutch: "Nederlands", english: "English"}[l]
}

// Short is how the language is switched to: FR, NL, EN.
func (l language) Short() string { return strings.ToUpper(string(l)) }

func languageOf(text string) (language, bool) {
	for _, l := range languages {
		if string(l) == text {
			return l, true
		}
	}
	return french, false
}

//go:embed words/*.txt
var wordFiles embed.FS

// catalogue has every text of the screens by its key, in each language.
var catalogue = func() map[language]map[string]string {
	out := map[language]map[string]string{}
	for _, l := range languages {
		words, err := readWords(l)
		if err != nil {
			panic(err)
		}
		out[l] = words
	}
	return out
}()

// readWords reads words/<language>.txt: a line is "key = text", with {1}, {2} for what is put in; empty lines and
// those that begin with # are nobody's.
func readWords(l language) (map[string]string, error) {
	name := "words/" + string(l) + ".txt"
	b, err := wordFiles.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read words: %w", err)
	}
	words := map[string]string{}
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, text, ok := strings.Cut(line, " = ")
		if _, twice := words[key]; !ok || twice || text == "" {
			return nil, fmt.Errorf("%s, line %d: neither \"key = text\" nor a new key", name, i+1)
		}
		words[key] = text
	}
	return words, nil
}

// say is a text of the catalogue with {1}, {2} replaced. A key without a text is shown as it is: a test holds that
// there is none.
func (l language) say(key string, with ...any) string {
	text, ok := catalogue[l][key]
	if !ok {
		return key
	}
	if len(with) == 0 {
		return text
	}
	pairs := make([]string, 0, 2*len(with))
	for i, v := range with {
		pairs = append(pairs, "{"+strconv.Itoa(i+1)+"}", fmt.Sprint(v))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// families are keys that code puts together; each lists all of its members.
var families = []func() []string{refusalKeys, numberKeys, meansKeys, linkKeys, codeKeys, actKeys, eveningKeys, courseKeys, relabelKeys}

// brussels is the place whose time is shown.
var brussels = func() *time.Location {
	l, err := time.LoadLocation("Europe/Brussels")
	if err != nil {
		panic(fmt.Sprintf("the program has no zone of Brussels: %v", err))
	}
	return l
}()

// clockText is a time of the day in Brussels, with its offset.
func clockText(t time.Time) string { return t.In(brussels).Format("15:04:05 (-07:00)") }

// timeText is clockText without the offset, for a column whose head has it.
func timeText(t time.Time) string { return t.In(brussels).Format("15:04:05") }

// offsetText is Brussels' offset at a time.
func offsetText(t time.Time) string { return t.In(brussels).Format("-07:00") }

// minuteText is clockText without seconds.
func minuteText(t time.Time) string { return t.In(brussels).Format("15:04 (-07:00)") }

// dayText is a day and a time in Brussels, with its offset.
func dayText(t time.Time) string { return t.In(brussels).Format("02.01.2006 15:04 (-07:00)") }

// entryText is an entry's name (ledger.EntryName) in the language.
func (l language) entryText(name string) string {
	return strings.NewReplacer("entry", l.say("layout.entry"), "epoch", l.say("layout.epoch")).Replace(name)
}

// communeName is the commune's name in the language; English has the French one with the Dutch one.
func (l language) communeName(fr, nl string) string {
	switch {
	case l == dutch:
		return nl
	case l == french || fr == nl:
		return fr
	}
	return fr + " / " + nl
}

func refusalKeys() (out []string) {
	for r := ledger.Refusal(1); r.Known(); r++ {
		out = append(out, refusalKey(r, "what"), refusalKey(r, "do"))
	}
	return out
}

func refusalKey(r ledger.Refusal, part string) string { return fmt.Sprintf("refusal.%d.%s", r, part) }

func meansKeys() (out []string) {
	for m := ledger.ByCard; m <= ledger.ByName; m++ {
		out = append(out, meansKey(m))
	}
	return out
}

func meansKey(m ledger.Means) string { return fmt.Sprintf("means.%d", m) }
