package eid

import "testing"

func TestATableSeesTheNewestCardOrTroubleUntilItIsOver(t *testing.T) {
	who, other := someone(), someone()
	other.Surname = "Autre"
	at := func(k Kind, reader string) Event { return Event{Kind: k, Reader: reader} }
	read := func(reader string, i Identity) Event {
		return Event{Kind: CardRead, Reader: reader, Identity: i}
	}
	because := func(reader string, x Trouble) Event { return Event{Kind: Troubled, Reader: reader, Trouble: x} }
	nothing, same := Shown{}, Shown{Trouble: 255} // same: nothing else is to be shown
	for name, steps := range map[string][]struct {
		event Event
		shows Shown
	}{
		"a card": {
			{at(ReaderPresent, "a"), same},
			{at(CardInserted, "a"), same},
			{read("a", who), Shown{Identity: who}},
			{at(CardRemoved, "a"), nothing},
			{at(CardInserted, "a"), same},
			{read("a", other), Shown{Identity: other}},
		},
		"a card that is read again": {{read("a", who), Shown{Identity: who}}, {read("a", who), Shown{Identity: who}}},
		"pulled out early": {
			{at(CardInserted, "a"), same},
			{because("a", PulledOut), Shown{Trouble: PulledOut}},
			{at(CardRemoved, "a"), same},
			{at(CardInserted, "a"), nothing},
			{read("a", who), Shown{Identity: who}},
		},
		"an altered card": {{because("a", Altered), Shown{Trouble: Altered}}, {at(CardRemoved, "a"), nothing}},
		"two readers": {
			{read("a", who), Shown{Identity: who}},
			{at(CardInserted, "b"), same},
			{read("b", other), Shown{Identity: other}},
			{at(CardRemoved, "a"), same},
			{at(ReaderPresent, "c"), same},
			{at(CardRemoved, "b"), nothing},
		},
		"no reader, and then one": {
			{because("", NoReader), Shown{Trouble: NoReader}},
			{at(ReaderPresent, "a"), nothing},
			{read("a", who), Shown{Identity: who}},
			{at(ReaderGone, "a"), nothing},
			{because("", NoReader), Shown{Trouble: NoReader}},
		},
		"too many readers, and a card": {{because("", TooManyReaders), Shown{Trouble: TooManyReaders}}, {at(CardInserted, "a"), nothing}},
	} {
		var s Showing
		for i, step := range steps {
			now, changed := s.Next(step.event)
			if changed != (step.shows != same) || changed && now != step.shows {
				t.Errorf("%s, event %d: changed %t, trouble %d, somebody %t", name, i, changed, now.Trouble, now.Identity != Identity{})
			}
		}
	}
}
