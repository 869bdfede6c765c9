package provenance

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheRunningProgramKnowsItsOwnHash(t *testing.T) {
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	p, err := Running()
	if err != nil || p.SHA256 != sha256.Sum256(b) {
		t.Fatalf("sha256 %x, %v, want %x", p.SHA256, err, sha256.Sum256(b))
	}
	if p.Target != runtime.GOOS+"/"+runtime.GOARCH || p.Go != runtime.Version() || p.Version != Version {
		t.Errorf("got %+v", p)
	}
	var out strings.Builder
	if err := Print(&out, "pointage"); err != nil || out.String() != p.Text("pointage") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestWhatIsNotKnownOfAProgramIsNotInvented(t *testing.T) {
	p := Program{Version: "1.2.3", Go: "go1.26.8", Target: "linux/amd64"}
	for _, c := range []struct{ sources, commit, want string }{
		{"h1:abc=", "", "sources h1:abc=\n"},
		{"", "0123", "revision 0123\n"},
		{"", "", "built from sources unknown to it: not by tools/release, and not in a repository\n"},
	} {
		p.Sources, p.Revision = c.sources, c.commit
		want := "pointage 1.2.3\ngo1.26.8 linux/amd64\n" + c.want + fmt.Sprintf("sha256 %x\n", p.SHA256)
		if got := p.Text("pointage"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	at := func(modified string) string {
		return revision([]debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123"}, {Key: "vcs.modified", Value: modified}})
	}
	if at("false") != "0123" || at("true") != "0123+changes" || revision(nil) != "" {
		t.Errorf("revisions %q, %q, %q", at("false"), at("true"), revision(nil))
	}
}
