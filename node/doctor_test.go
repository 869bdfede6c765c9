package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoctorNamesWhatIsUnfitAndChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	b := c.bureaux[1]
	s := &spoiled{t: t, c: c}
	for _, w := range []struct {
		says  string
		spoil func(cfg *Config, pass *string)
	}{
		{"", func(*Config, *string) {}},
		{"keys: ", func(_ *Config, pass *string) { *pass = c.bureaux[2].pass }},
		{"election: ", func(cfg *Config, _ *string) { cfg.Election += "-none" }},
		{"election: ", func(cfg *Config, _ *string) { cfg.Bureau = 9 }},
		{"media: 1 of 3", func(cfg *Config, _ *string) { cfg.Media[0], cfg.Media[2] = filepath.Join(c.dir, "none"), "" }},
		{"port: ", func(cfg *Config, _ *string) { cfg.API = s.occupied("tcp") }},
		{"port: ", func(cfg *Config, _ *string) { cfg.Listen = []string{s.occupied("tcp")} }},
		{"port: ", func(cfg *Config, _ *string) { cfg.Listen = []string{s.occupied("udp")} }},
		{"data: ", func(cfg *Config, _ *string) {
			cfg.Data = filepath.Join(c.dir, "newer")
			s.must(os.Mkdir(cfg.Data, 0o700))
			s.must(os.WriteFile(filepath.Join(cfg.Data, versionFile), []byte("2\n"), 0o600))
		}},
		{"witness", func(cfg *Config, _ *string) { cfg.Witness = "adele" }},
	} {
		cfg, pass := b.config(), b.pass
		w.spoil(&cfg, &pass)
		before := contents(t, c.dir)
		var bad []string
		for _, f := range Doctor(t.Context(), cfg, pass) {
			if !f.OK {
				bad = append(bad, f.What)
			}
			if strings.Contains(f.What, "\n") {
				t.Errorf("more than one line: %q", f.What)
			}
		}
		before.same(t)
		if w.says == "" && len(bad) > 0 || w.says != "" && (len(bad) != 1 || !strings.Contains(bad[0], w.says)) {
			t.Errorf("unfit is %s; want %q alone", fmt.Sprintf("%q", bad), w.says)
		}
	}
}
