// Package provenance tells what the running program is: its version, what it was built from and with, and the SHA-256 of
// its file.
package provenance

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is the version of all programs of this repository, by semver.org.
const Version = "0.9.0"

// Dated is what packages of this version are dated with, in Unix seconds: their bytes depend on no clock.
const Dated = 1795392000

// sources is the hash of the files that a released program was built from, in go.sum's form "h1:…". tools/release gives
// it to the linker; it is empty in a program that was built otherwise.
var sources string

// A Program is what one program says of itself.
type Program struct {
	// Version is Version; Go is the compiler's, such as go1.26.8; Target is system/processor, such as linux/amd64.
	Version, Go, Target string
	// Sources is the hash of a release's source files; Revision is the commit, with "+changes" behind it when files had
	// been changed since. Each is empty when it is not known.
	Sources, Revision string
	// SHA256 is the hash of the program's file.
	SHA256 [sha256.Size]byte
}

// Running is the running program. The error says why its file can't be read.
func Running() (Program, error) {
	p := Program{Version: Version, Go: runtime.Version(), Target: runtime.GOOS + "/" + runtime.GOARCH, Sources: sources}
	if info, ok := debug.ReadBuildInfo(); ok {
		p.Revision = revision(info.Settings)
	}
	name, err := os.Executable()
	if err != nil {
		return p, fmt.Errorf("find the program: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return p, fmt.Errorf("read the program: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return p, fmt.Errorf("read the program: %w", err)
	}
	p.SHA256 = [sha256.Size]byte(sum.Sum(nil))
	return p, nil
}

func revision(settings []debug.BuildSetting) (commit string) {
	changed := false
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if commit != "" && changed {
		commit += "+changes"
	}
	return commit
}

// Text is what the program called name prints of itself, one thing a line: its name and version first, the SHA-256 last.
func (p Program) Text(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n%s %s\n", name, p.Version, p.Go, p.Target)
	if p.Sources != "" {
		fmt.Fprintf(&b, "sources %s\n", p.Sources)
	}
	if p.Revision != "" {
		fmt.Fprintf(&b, "revision %s\n", p.Revision)
	}
	if p.Sources == "" && p.Revision == "" {
		b.WriteString("built from sources unknown to it: not by tools/release, and not in a repository\n")
	}
	fmt.Fprintf(&b, "sha256 %x\n", p.SHA256)
	return b.String()
}

// Print writes what the running program, called name, is.
func Print(to io.Writer, name string) error {
	p, err := Running()
	if err != nil {
		return err
	}
	_, err = io.WriteString(to, p.Text(name))
	return err
}
