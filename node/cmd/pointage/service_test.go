package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pointage/node"
)

func TestThePackagesConfigurationIsCompleteOnceItsFourLinesAreFilledIn(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../../tools/release/deb/bureau.toml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bureau.toml")
	filled := regexp.MustCompile(`(?m)^# (election|commune|bureau|keys) =`).ReplaceAll(text, []byte("$1 ="))
	if err := os.WriteFile(file, filled, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := node.LoadConfig(file)
	if err != nil || len(cfg.Media) != 3 || cfg.PassphraseFile != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
	for _, p := range append([]string{cfg.Data, cfg.Election, cfg.Keys}, cfg.Media...) {
		if !filepath.IsAbs(p) || !strings.HasPrefix(p, "/var/lib/pointage/") && !strings.HasPrefix(p, "/media/pointage/") {
			t.Errorf("%s is not where the service may write", p)
		}
	}
}

func TestAServiceGetsItsPassphraseAsACredential(t *testing.T) {
	flags, dir := prepared(t)
	if code, _, errs := said(flags...); code != exitDone {
		t.Fatalf("init: exit %d, %s", code, errs)
	}
	config := filepath.Join(dir, "bureau.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^passphrase_file = "(.*)"\n`).FindSubmatch(text)
	if named == nil {
		t.Fatalf("init wrote no passphrase_file: %s", text)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), string(named[0]), "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	oneLine(t, exitUsage, "no passphrase", "run", "--config", config)
	letter, err := os.ReadFile(string(named[1]))
	if err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	oneLine(t, exitUsage, "no passphrase", "run", "--config", config)
	if err := os.WriteFile(filepath.Join(credentials, "passphrase"), letter, 0o400); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := said("doctor", "--config", config); code != exitDone || !strings.Contains(out, "fit for the poll") {
		t.Errorf("doctor with the credential: exit %d, %s %s", code, out, errs)
	}
}
