package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"pointage/ledger"
	"pointage/node/register"
)

// A person of the lists, as far as a file could name one.
type person struct{ national, surname, first string }

// people are all electors, and what finds them in a file; it is written without the programs' own search.
type people struct {
	in      map[ledger.Commune][]person
	count   int
	numbers map[string]bool // 11 digits
	names   map[string]bool // "surname first", in small letters
	// keys find each K; secrets are what GiveTokenKey gave of one, for a plant.
	keys    []*register.KeyFinder
	secrets []byte
}

func digitsOf(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return r
		}
		return -1
	}, text)
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
}

// readPeople reads the communes' lists.
func readPeople(t *testing.T, dir string) *people {
	t.Helper()
	p := &people{in: map[ledger.Commune][]person{}, numbers: map[string]bool{}, names: map[string]bool{}}
	for ins := ledger.Commune(21001); ins <= 21019; ins++ {
		f, err := os.Open(filepath.Join(dir, strconv.Itoa(int(ins))+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil || rows[0][0] != "national_number" || rows[0][1] != "surname" || rows[0][2] != "first_names" {
			t.Fatal(rows[0], err)
		}
		for _, row := range rows[1:] {
			p.in[ins] = append(p.in[ins], person{row[0], row[1], row[2]})
			p.numbers[digitsOf(row[0])] = true
			surname, first := wordsOf(row[1]), wordsOf(row[2])
			p.names[surname[len(surname)-1]+" "+first[0]], p.names[first[0]+" "+surname[len(surname)-1]] = true, true
			p.count++
		}
	}
	return p
}

// raw is a K, to be planted.
func (p *people) raw() []byte { return p.secrets }

var printedNumber = regexp.MustCompile(`[0-9]{2}\.?[0-9]{2}\.?[0-9]{2}[- ]?[0-9]{3}[.-]?[0-9]{2}`)

// shortestName is how many letters two words have that are taken for a name in any bytes.
const shortestName = 8

// search gives how many files there are, and who is named in which.
func (p *people) search(t *testing.T, root string) (files int, hits []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		if what := p.named(name, text); what != "" {
			hits = append(hits, fmt.Sprintf("%s holds %s", name, what))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, hits
}

func (p *people) named(name string, text []byte) string {
	for _, k := range p.keys {
		if k.In(text) {
			return "a K"
		}
	}
	text = append([]byte(filepath.Base(name)+"\n"), text...)
	for _, wide := range [][]byte{text, bytes.ReplaceAll(text, []byte{0}, nil)} {
		for _, at := range printedNumber.FindAllIndex(wide, -1) {
			if p.numbers[digitsOf(string(wide[at[0]:at[1]]))] {
				return "a number"
			}
		}
		before := ""
		for word := range bytes.FieldsFuncSeq(wide, func(r rune) bool { return !unicode.IsLetter(r) }) {
			w := strings.ToLower(string(word))
			if pair := before + " " + w; len(pair) > shortestName && p.names[pair] {
				return "a name"
			}
			before = w
		}
	}
	return ""
}
