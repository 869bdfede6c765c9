package consensustest

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestFirstClaimHasTheKeyForEver(t *testing.T) {
	c := NewClaims()
	steps := []struct{ command, want string }{
		{string(Look("k", "l1")), "- 0"},
		{string(Claim("k", "a")), "a 1"},
		{string(Claim("k", "b")), "a 2"},
		{string(Claim("k", "a")), "a 1"},
		{string(Look("k", "l2")), "a 2"},
		{string(Claim("j", "b")), "b 1"},
	}
	for i, s := range steps {
		got := c.Apply(uint64(10+i), [][]byte{[]byte(s.command)})[0]
		if r, err := DecodeStanding(got); string(got) != s.want || err != nil || string(r.Encode()) != s.want {
			t.Errorf("%s: %q, want %s (%v)", s.command, got, s.want, err)
		}
	}
	if r := c.Apply(10, [][]byte{Claim("z", "z")}); r[0] != nil || c.Standing("z").Holder != Nobody {
		t.Error("a command that it holds already was applied again")
	}
	before := Standing{"a", 2}
	left := c.AfterCrash(10)
	if left.Standing("k").Holder != Nobody || left.Applied() != 10 || c.Standing("k") != before {
		t.Errorf("after a crash: %v up to %d; before: %v", left.Standing("k"), left.Applied(), c.Standing("k"))
	}
	var b bytes.Buffer
	if err := c.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	if err := left.Restore(&b); err != nil || left.Standing("k") != before || left.Standing("j") != (Standing{"b", 1}) {
		t.Errorf("restored: %v, %v, %v", left.Standing("k"), left.Standing("j"), err)
	}
	if got := left.Apply(16, [][]byte{Claim("k", "b")})[0]; string(got) != "a 2" {
		t.Errorf("proposed again after a restart: %s", got)
	}
}

func TestDefectsAreWhatTheySay(t *testing.T) {
	c := NewClaims()
	c.Defect = AppliesAgain
	c.Apply(1, [][]byte{Claim("k", "a"), Claim("k", "a")})
	if s := c.Standing("k"); s != (Standing{"a", 2}) {
		t.Errorf("applied again: %v", s)
	}
	c = NewClaims()
	c.Defect = SkipsCommands
	c.Apply(skippedOf, [][]byte{Look("k", "a")})
	if c.Applied() != skippedOf || c.Len() != 0 {
		t.Errorf("holds %d commands up to %d", c.Len(), c.Applied())
	}
}

// op is an operation in short: a claim, or a look if who begins with "?"; reply is the holder and the count of claims, ""
// for an unknown outcome, "!" for refused.
func op(who, reply string, call, ret int) Operation {
	o := Operation{
		Key: "k", Who: who, Look: who[0] == '?', Outcome: Answered,
		Call: time.Duration(call), Return: time.Duration(ret),
	}
	switch reply {
	case "":
		o.Outcome = Unknown
	case "!":
		o.Outcome = Refused
	default:
		o.Reply = Standing{reply[:1], int(reply[1] - '0')}
	}
	return o
}

func TestHistoriesThatNothingExplainsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		operations []Operation
		fits       bool
	}{
		"one after the other":      {[]Operation{op("a", "a1", 0, 1), op("b", "a2", 2, 3), op("?c", "a2", 4, 5)}, true},
		"at the same time":         {[]Operation{op("a", "b2", 0, 9), op("b", "b1", 1, 8), op("?c", "-0", 0, 5)}, true},
		"both won":                 {[]Operation{op("a", "a1", 0, 1), op("b", "b2", 2, 3)}, false},
		"both won at once":         {[]Operation{op("a", "a1", 0, 9), op("b", "b2", 0, 9)}, false},
		"both came first":          {[]Operation{op("a", "a1", 0, 9), op("b", "a1", 0, 9)}, false},
		"one was counted twice":    {[]Operation{op("a", "a1", 0, 1), op("b", "a3", 2, 3)}, false},
		"forgotten":                {[]Operation{op("a", "a1", 0, 1), op("?b", "-0", 2, 3)}, false},
		"seen, then not":           {[]Operation{op("a", "a1", 0, 9), op("?b", "a1", 1, 2), op("?c", "-0", 3, 4)}, false},
		"won by nobody":            {[]Operation{op("a", "c1", 0, 1)}, false},
		"unknown took effect":      {[]Operation{op("a", "", 0, 0), op("b", "a2", 5, 6)}, true},
		"unknown was counted":      {[]Operation{op("a", "", 0, 0), op("b", "b1", 5, 6), op("?c", "b2", 7, 8)}, true},
		"unknown took effect late": {[]Operation{op("a", "", 0, 0), op("?b", "-0", 5, 6), op("?c", "a1", 7, 8)}, true},
		"unknown had none":         {[]Operation{op("a", "", 0, 0), op("b", "b1", 5, 6)}, true},
		"unknown before its call":  {[]Operation{op("a", "", 7, 0), op("b", "a2", 5, 6)}, false},
		"refused and seen":         {[]Operation{op("a", "!", 0, 0), op("b", "a2", 5, 6)}, false},
	} {
		var h History
		for _, o := range test.operations {
			h.Add(o)
		}
		err := h.Linearizable(time.Minute)
		if (err == nil) != test.fits {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "key k") {
			t.Errorf("%s: %v does not name the key", name, err)
		}
	}
}

func TestRefusedCommandsAreNowhere(t *testing.T) {
	var h History
	h.Add(op("a", "!", 0, 0))
	h.Add(op("b", "", 0, 0))
	h.Add(op("?c", "-0", 0, 1))
	replicas := map[string][]Applied{"x": nil, "y": {{1, Claim("k", "b")}, {2, Look("k", "?c")}}}
	if err := Absent(replicas, h.Commands(Refused)); err != nil {
		t.Error(err)
	}
	replicas["x"] = []Applied{{1, Claim("k", "a")}}
	if err := Absent(replicas, h.Commands(Refused)); err == nil || !strings.Contains(err.Error(), "replica x") {
		t.Errorf("%v, want replica x named", err)
	}
}
