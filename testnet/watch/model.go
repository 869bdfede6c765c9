package watch

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"pointage/testnet/simulation"
)

// What a model is told.
type (
	stageMsg  simulation.Progress
	sampleMsg simulation.Sample
	lineMsg   string
	// clockMsg is the time since the run began.
	clockMsg time.Duration
)

// rateOver is the stretch of the day over which check-ins a second are counted.
const rateOver = 3 * time.Second

// maxRecent bounds the samples that the rate is counted over, and the lines that are drawn.
const maxRecent = 64

// model is what is drawn: bubbletea's goroutine owns it.
type model struct {
	interrupt func()
	since     func() time.Duration

	width, height int
	elapsed       time.Duration
	sample        simulation.Sample
	sampled       bool
	// recent are the check-ins of the last samples, the oldest first.
	recent []count
	// stage is what is done before the poll and after it.
	stage simulation.Progress
	lines []string
	// ending: a key has ended the run.
	ending bool
	// bare leaves out colours.
	bare bool
}

// count is how many check-ins there were at a moment.
type count struct {
	at       time.Duration
	checkIns int
}

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return m.tick() }

// tick tells the time a second from now.
func (m model) tick() tea.Cmd {
	since := m.since
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return clockMsg(since()) })
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		if k := msg.String(); k == "q" || k == "ctrl+c" {
			m.ending = true
			m.interrupt()
			return m, tea.Quit
		}
	case clockMsg:
		m.elapsed = time.Duration(msg)
		return m, m.tick()
	case stageMsg:
		m.stage = simulation.Progress(msg)
	case sampleMsg:
		m.take(simulation.Sample(msg))
	case lineMsg:
		m.lines = append(m.lines, string(msg))
		m.lines = m.lines[max(0, len(m.lines)-maxRecent):]
	}
	return m, nil
}

// take draws a sample from now on.
func (m *model) take(s simulation.Sample) {
	m.sample, m.sampled = s, true
	if !s.Evening {
		m.stage = simulation.Progress{}
	}
	m.recent = append(m.recent, count{s.At, s.CheckIns})
	for len(m.recent) > maxRecent || len(m.recent) > 2 && s.At-m.recent[1].at >= rateOver {
		m.recent = m.recent[1:]
	}
}

// rate is how many check-ins there were a second, lately.
func (m model) rate() float64 {
	if len(m.recent) < 2 {
		return 0
	}
	first, last := m.recent[0], m.recent[len(m.recent)-1]
	return float64(last.checkIns-first.checkIns) / (last.at - first.at).Seconds()
}
