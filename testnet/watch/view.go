package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"pointage/ledger"
	"pointage/testnet/simulation"
)

// Ways to paint, as SGR parameters; each only repeats what a word says.
const (
	strong = "1"
	quiet  = "2"
	good   = "32"
	wary   = "33"
	bad    = "1;31"
)

// cellWidth is what one bureau takes, in columns of the terminal.
const cellWidth = 40

// The least terminal that the day is drawn on.
const leastWidth, leastHeight = cellWidth + 2, 16

// linesDrawn is how many lines of text stand below the bureaux at least.
const linesDrawn = 4

// View implements tea.Model.
func (m model) View() tea.View {
	return tea.View{Content: strings.Join(m.frame(), "\n"), AltScreen: true, WindowTitle: "pointage testnet"}
}

// frame is what fills the terminal: at most height lines of at most width.
func (m model) frame() []string {
	if m.width < leastWidth || m.height < leastHeight {
		return []string{fit(fmt.Sprintf("%d of %d through; q ends", m.sample.Came, m.sample.Expected), m.width)}
	}
	out := m.head()
	out = append(out, m.bureaux(m.height-len(out)-linesDrawn-2)...)
	bottom := m.foot(m.height - len(out) - 2)
	for len(out)+len(bottom) < m.height {
		out = append(out, "")
	}
	return append(out, bottom...)
}

// head says how the day goes as a whole.
func (m model) head() []string {
	s := m.sample
	clock := fmt.Sprintf("%02d:%02d", int(m.elapsed.Minutes()), int(m.elapsed.Seconds())%60)
	place := "pointage testnet"
	if m.sampled {
		place = fmt.Sprintf("commune %d %s, %d bureaux", s.Commune, simulation.PlaceName(s.Commune), len(s.Bureaux))
	}
	leader := m.paint(wary, "nobody leads")
	if s.Leader != 0 {
		leader = fmt.Sprintf("bureau %d leads", s.Leader)
	}
	waits := ""
	if s.Home.Len() > 0 {
		waits = fmt.Sprintf("now %v at home, p99 %v", roundWait(s.Home.Quantile(0.5)), roundWait(s.Home.Quantile(0.99)))
	}
	return []string{
		m.paint(strong, pad(fit(place, m.width-len(clock)-1), m.width-len(clock)-1)) + " " + clock,
		m.bar(),
		"",
		m.facts(fact{"check-ins", fmt.Sprintf("%d, %.0f a second", s.CheckIns, m.rate())}, fact{"refused", fmt.Sprintf("%d, %d second attempts", s.Refused, s.SecondRefused)}),
		m.facts(fact{"ledger", fmt.Sprintf("%d entries, %s", s.LedgerSize, leader)}, fact{"anchored", fmt.Sprintf("%d, %d to go", s.Anchored, s.LedgerSize-min(s.Anchored, s.LedgerSize))}),
		m.facts(fact{"waits", waits}, fact{"alarms", m.alarms()}),
		m.facts(fact{"faults", m.faults()}),
		"",
	}
}

// fact is a figure with its name.
type fact struct{ name, value string }

// facts lays facts out side by side.
func (m model) facts(fs ...fact) string {
	width := m.width / len(fs)
	var b strings.Builder
	for i, f := range fs {
		if i == len(fs)-1 {
			width = m.width - i*width
		}
		b.WriteString(m.paint(quiet, fmt.Sprintf("%-10s", f.name)) + pad(fitPainted(f.value, width-11), width-10))
	}
	return strings.TrimRight(b.String(), " ")
}

// bar says how far the poll is, or the stage before or after it.
func (m model) bar() string {
	text, done, of := "", uint64(m.sample.Came), uint64(m.sample.Expected)
	switch {
	case m.stage.Stage != "":
		done, of, text = m.stage.Done, m.stage.Of, m.stage.Stage
		if of > 0 {
			text += fmt.Sprintf(": %d of %d", done, of)
		} else if done > 0 {
			text += fmt.Sprintf(": %d", done)
		}
	case m.sampled:
		text = fmt.Sprintf("%d of %d through", done, of)
	default:
		text = "starting"
	}
	width, full := m.width/3, 0
	if of > 0 {
		full = int(uint64(width) * min(done, of) / of)
	}
	return "[" + m.paint(good, strings.Repeat("#", full)) + strings.Repeat(".", width-full) + "] " + fit(text, m.width-width-3)
}

// faults names those that last, and who is cut off.
func (m model) faults() string {
	var now []string
	for _, f := range m.sample.Faults {
		if !f.Over {
			now = append(now, fmt.Sprintf("%s for %.0f s", f.Name, (m.sample.At-f.Began).Seconds()))
		}
	}
	text := cmp.Or(strings.Join(now, ", "), "none now")
	if over := len(m.sample.Faults) - len(now); over > 0 {
		text += fmt.Sprintf(", %d over", over)
	}
	if len(m.sample.CutOff) > 0 {
		text += fmt.Sprintf("; cut off: %v", m.sample.CutOff)
	}
	if len(now) == 0 {
		return text
	}
	return m.paint(wary, text)
}

// alarms says which bureaux have any.
func (m model) alarms() string {
	var at []ledger.BureauNumber
	for _, b := range m.sample.Bureaux {
		if len(b.Alarms) > 0 {
			at = append(at, b.Bureau)
		}
	}
	if len(at) == 0 {
		return "none"
	}
	return m.paint(bad, fmt.Sprintf("at %v", at))
}

// bureaux draws as many as fit into so many lines, in columns; when not all do, those in trouble come first.
func (m model) bureaux(height int) []string {
	columns := m.width / cellWidth
	rows := height - 2 // the head, and what is left out
	if rows < 1 || len(m.sample.Bureaux) == 0 {
		return nil
	}
	shown := m.sample.Bureaux
	left := len(shown) - columns*rows
	if left > 0 {
		shown = slices.Clone(shown)
		slices.SortStableFunc(shown, func(a, b simulation.BureauSample) int { return trouble(b) - trouble(a) })
		shown = shown[:columns*rows]
	}
	rows = min(rows, (len(shown)+columns-1)/columns)
	columns = min(columns, (len(shown)+rows-1)/rows)
	title := fmt.Sprintf("%3s %-12s%9s%8s%5s", "no.", "link", "check-ins", "behind", "due")
	head := make([]string, columns)
	for i := range head {
		head[i] = pad(title, cellWidth)
	}
	out := []string{m.paint(quiet, strings.TrimRight(strings.Join(head, ""), " "))}
	for r := range rows {
		line := ""
		for c := range columns {
			if i := c*rows + r; i < len(shown) {
				line += m.bureau(shown[i])
			}
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	if left > 0 {
		out = append(out, m.paint(quiet, fmt.Sprintf("and %d more, none in greater trouble", left)))
	}
	return out
}

// trouble ranks a bureau's state; 0 for none.
func trouble(b simulation.BureauSample) int {
	switch {
	case b.Down():
		return 3
	case len(b.Alarms) > 0:
		return 2
	case b.Link != "linked":
		return 1
	}
	return 0
}

// bureau is one cell.
func (m model) bureau(b simulation.BureauSample) string {
	link, how := b.Link, good
	switch trouble(b) {
	case 3:
		link, how = "down", bad
	case 2, 1:
		how = wary
	}
	mark := " "
	if len(b.Alarms) > 0 {
		mark = m.paint(bad, "!")
	}
	return fmt.Sprintf("%3d ", b.Bureau) + m.paint(how, fmt.Sprintf("%-12s", link)) + fmt.Sprintf("%9d%8d%5d", b.CheckIns, b.Behind, b.Backlog) + mark + " "
}

// foot is what was told last in so many lines, the alarms' words first, and the keys.
func (m model) foot(drawn int) []string {
	var said []string
	for _, b := range m.sample.Bureaux {
		if len(b.Alarms) > 0 {
			said = append(said, m.paint(bad, fit(fmt.Sprintf("! bureau %d: %s", b.Bureau, strings.Join(b.Alarms, ", ")), m.width)))
		}
	}
	said = said[:min(len(said), drawn/2)]
	for _, l := range m.lines[max(0, len(m.lines)-(drawn-len(said))):] {
		said = append(said, m.paint(quiet, fit(l, m.width)))
	}
	return append(append([]string{""}, said...), m.paint(quiet, fit("behind: entries   due: batches to hand in   q or Ctrl-C ends the run", m.width)))
}

func (m model) paint(how, text string) string {
	if m.bare || text == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[m"
}

// fit cuts a text to so many columns: what is drawn here is a column a rune.
func fit(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width < 2 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}

// bareWidth is the width of a text without its paint.
func bareWidth(text string) int { return utf8.RuneCountInString(unpainted(text)) }

// unpainted takes the paint off.
func unpainted(text string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, text, _ = strings.Cut(rest, "m")
	}
}

// fitPainted is fit for a text that may be painted; what is cut loses its paint.
func fitPainted(text string, width int) string {
	if bareWidth(text) <= width {
		return text
	}
	return fit(unpainted(text), width)
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-bareWidth(text)))
}

// roundWait is a wait in about three figures.
func roundWait(t time.Duration) time.Duration {
	switch {
	case t > 100*time.Millisecond:
		return t.Round(time.Millisecond)
	case t > time.Millisecond:
		return t.Round(100 * time.Microsecond)
	}
	return t.Round(time.Microsecond)
}
