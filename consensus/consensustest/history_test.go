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
		{string(Look("k", "l1")), Nobody},
		{string(Claim("k", "a")), "a"},
		{string(Claim("k", "b")), "a"},
		{string(Claim("k", "a")), "a"},
		{string(Look("k", "l2")), "a"},
		{string(Claim("j", "b")), "b"},
	}
	for i, s := range steps {
		if got := c.Apply(uint64(10+i), [][]byte{[]byte(s.command)})[0]; string(got) != s.want {
			t.Errorf("%s: %q, want %s", s.command, got, s.want)
		}
	}
	if r := c.Apply(10, [][]byte{Claim("z", "z")}); r[0] != nil || c.Holder("z") != Nobody {
		t.Error("a command that it holds already was applied again")
	}
	left := c.AfterCrash(10)
	if left.Holder("k") != Nobody || left.Applied() != 10 || c.Holder("k") != "a" {
		t.Errorf("after a crash: %s up to %d; before: %s", left.Holder("k"), left.Applied(), c.Holder("k"))
	}
	var b bytes.Buffer
	if err := c.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	if err := left.Restore(&b); err != nil || left.Holder("k") != "a" || left.Holder("j") != "b" {
		t.Errorf("restored: %s, %s, %v", left.Holder("k"), left.Holder("j"), err)
	}
}

// op is an operation in short: a claim, or a look if who begins with "?"; holder "" for an unknown outcome, "!" for refused.
func op(who, holder string, call, ret int) Operation {
	o := Operation{
		Key: "k", Who: who, Look: who[0] == '?', Outcome: Answered, Holder: holder,
		Call: time.Duration(call), Return: time.Duration(ret),
	}
	switch holder {
	case "":
		o.Outcome = Unknown
	case "!":
		o.Outcome = Refused
	}
	return o
}

func TestHistoriesThatNothingExplainsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		operations []Operation
		fits       bool
	}{
		"one after the other":      {[]Operation{op("a", "a", 0, 1), op("b", "a", 2, 3), op("?c", "a", 4, 5)}, true},
		"at the same time":         {[]Operation{op("a", "b", 0, 9), op("b", "b", 1, 8), op("?c", "-", 0, 5)}, true},
		"both won":                 {[]Operation{op("a", "a", 0, 1), op("b", "b", 2, 3)}, false},
		"both won at once":         {[]Operation{op("a", "a", 0, 9), op("b", "b", 0, 9)}, false},
		"forgotten":                {[]Operation{op("a", "a", 0, 1), op("?b", "-", 2, 3)}, false},
		"seen, then not":           {[]Operation{op("a", "a", 0, 9), op("?b", "a", 1, 2), op("?c", "-", 3, 4)}, false},
		"won by nobody":            {[]Operation{op("a", "c", 0, 1)}, false},
		"unknown took effect":      {[]Operation{op("a", "", 0, 0), op("b", "a", 5, 6)}, true},
		"unknown took effect late": {[]Operation{op("a", "", 0, 0), op("?b", "-", 5, 6), op("?c", "a", 7, 8)}, true},
		"unknown had none":         {[]Operation{op("a", "", 0, 0), op("b", "b", 5, 6)}, true},
		"unknown before its call":  {[]Operation{op("a", "", 7, 0), op("b", "a", 5, 6)}, false},
		"refused and seen":         {[]Operation{op("a", "!", 0, 0), op("b", "a", 5, 6)}, false},
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
	h.Add(op("?c", "-", 0, 1))
	replicas := map[string][]Applied{"x": nil, "y": {{1, Claim("k", "b")}, {2, Look("k", "?c")}}}
	if err := Absent(replicas, h.Commands(Refused)); err != nil {
		t.Error(err)
	}
	replicas["x"] = []Applied{{1, Claim("k", "a")}}
	if err := Absent(replicas, h.Commands(Refused)); err == nil || !strings.Contains(err.Error(), "replica x") {
		t.Errorf("%v, want replica x named", err)
	}
}
