package register

import (
	"fmt"
	"strings"
	"testing"
)

func TestSpellingsOfOneNameSoundAlike(t *testing.T) {
	for _, same := range []string{
		"Janssens Jansens", "Thijs Thys Tijs Thÿs Thĳs", "Dierickx Dieriks Dierix Dierikx Dierickx Dirickx",
		"Claes Klaes Klaas", "Verhaegen Verhagen", "Meyer Meijer Meier", "Reyniers Reiniers Rijniers",
		"Delvaux Delveaux Delvau", "Philippe Filip", "Verbrugghe Verbrugge", "Desmedt Desmet", "Lefebvre Lefèvre",
		"Mohammed Mohamed", "Schröder Schroeder Schroder", "Müller Mueller Muller", "Dupont Dupond", "Thomas Tomas",
		"Youssef Yousef", "Oumar Umar", "Jacques Jakes", "Vandenberghe Vandenberge", "De\u0301sire\u0301e Désirée DESIREE",
		"Sørensen Sorensen", "Łukasz Lukasz", "Œdipe Oedipe",
	} {
		names := strings.Fields(same)
		for _, name := range names[1:] {
			if a, b := sound(Fold(names[0])), sound(Fold(name)); a != b {
				t.Errorf("%s sounds %s, %s sounds %s", names[0], a, name, b)
			}
		}
	}
}

// names of a small register; each test of finding says which come first.
var namesOfElectors = [][2]string{
	{"Van den Berghe", "Marie-Claire"},   // 0
	{"Vandenberghe", "Maria"},            // 1
	{"Janssens", "Jan"},                  // 2
	{"Jansens", "Jan"},                   // 3
	{"Janssens de Bisthoven", "Jan"},     // 4
	{"D'Hondt", "Luc"},                   // 5
	{"Dhondt", "Lucas"},                  // 6
	{"El Haddad", "Fatima Zohra"},        // 7
	{"Elhaddad", "Fatima"},               // 8
	{"Ben Ali", "Saïd"},                  // 9
	{"Benali", "Said"},                   // 10
	{"Lê", "Thị Ánh"},                    // 11
	{"N'Diaye", "Ousmane"},               // 12
	{"Lefèvre", "Éléonore"},              // 13
	{"Lefebvre", "Eleonore"},             // 14
	{"De Smedt", "Pieter"},               // 15
	{"Desmet", "Peter"},                  // 16
	{"Diallo", "Aïssatou"},               // 17
	{"Papadopoulos", "Georgios"},         // 18
	{"'t Kint de Roodenbeke", "Juan"},    // 19
	{"Martin", "Claire"},                 // 20
	{"Claire", "Martin"},                 // 21
	{"Abdel Kader", "Omar"},              // 22
	{"Abdelkader", "Oumar"},              // 23
	{"Wiśniewska", "Małgorzata"},         // 24
	{"Yılmaz", "Gülşen"},                 // 25
	{"Nguyễn", "Văn Đức"},                // 26
	{"Van der Straeten Ponthoz", "Guy"},  // 27
	{"Dierickx", "Thijs"},                // 28
	{"Mbuyi Kabongo", "Béatrice Mwamba"}, // 29
}

func TestElectorsAreFoundByName(t *testing.T) {
	r := opened(t, electors(t, len(namesOfElectors), namesOfElectors...))
	for _, example := range []struct {
		query string
		want  []int // the first of the list, in this order
	}{
		{"vandenberghe", []int{1, 0}}, // written so first; see the order below
		{"van den berghe", []int{0, 1}},
		{"VANDEN BERGHE marie", []int{0, 1}},
		{"berghe", []int{0, 1}},
		{"marie claire van den berghe", []int{0}},
		{"marieclaire", []int{0}},
		{"van den berge", []int{0, 1}},
		{"janssens jan", []int{2, 4, 3}},
		{"jansens", []int{3, 2, 4}},
		{"bisthoven", []int{4}},
		{"d'hondt", []int{5, 6}},
		{"dhondt", []int{5, 6}},
		{"hondt luc", []int{5}},
		{"el haddad", []int{7, 8}},
		{"elhaddad", []int{7, 8}},
		{"haddad fatima", []int{7, 8}},
		{"benali said", []int{9, 10}},
		{"ben ali", []int{9, 10}},
		{"le", []int{11}},
		{"le thi anh", []int{11}},
		{"ndiaye", []int{12}},
		{"n’diaye ousman", []int{12}},
		{"lefevre eleonore", []int{13, 14}},
		{"lefebvre", []int{14, 13}},
		{"de smet", []int{16, 15}},
		{"desmedt", []int{15, 16}},
		{"smedt", []int{15}},
		{"dialo aissatou", []int{17}},
		{"papadopulos", []int{18}},
		{"papadoupolos giorgios", []int{18}},
		{"papad", []int{18}},
		{"kint roodenbeke", []int{19}},
		{"claire", []int{21}},
		{"martin claire", []int{20, 21}},
		{"abdelkader", []int{22, 23}},
		{"abdel kader", []int{22, 23}},
		{"wisniewska malgorzata", []int{24}},
		{"yilmaz gulsen", []int{25}},
		{"nguyen van duc", []int{26}},
		{"straeten", []int{27}},
		{"vanderstraeten", []int{27}},
		{"van der straten", []int{27}},
		{"diericks tijs", []int{28}},
		{"kabongo beatrice", []int{29}},
		{"mwamba mbuyi", []int{29}},
	} {
		found, total := r.Search(example.query, 10)
		if total < len(example.want) || len(found) < len(example.want) {
			t.Errorf("%q: %d found, want %d at least: %s", example.query, total, len(example.want), listed(found))
			continue
		}
		got := map[[2]string]bool{}
		for k := range example.want {
			got[[2]string{found[k].Elector.Surname, found[k].Elector.FirstNames}] = true
		}
		for _, n := range example.want {
			if !got[namesOfElectors[n]] {
				t.Errorf("%q: %v is not among the first %d of %s", example.query, namesOfElectors[n], len(example.want), listed(found))
			}
		}
		if len(example.want) > 1 && found[0].Points > found[1].Points {
			if first := namesOfElectors[example.want[0]]; found[0].Elector.Surname != first[0] {
				t.Errorf("%q: %v is not the first of %s", example.query, first, listed(found))
			}
		}
	}
}

func listed(found []Found) string {
	var out []string
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s %s (%d)", f.Elector.Surname, f.Elector.FirstNames, f.Points))
	}
	return strings.Join(out, ", ")
}

func TestFoundByTheWrittenNameStandsBeforeTheSounded(t *testing.T) {
	r := opened(t, electors(t, len(namesOfElectors), namesOfElectors...))
	for query, want := range map[string]string{
		"janssens": "Janssens", "jansens": "Jansens", "lefevre": "Lefèvre", "lefebvre": "Lefebvre", "desmet": "Desmet", "claire": "Claire",
	} {
		found, _ := r.Search(query, 5)
		if len(found) == 0 || found[0].Elector.Surname != want {
			t.Errorf("%q: %s", query, listed(found))
		}
	}
}

func TestOneWrongWordStillFindsByTheOthers(t *testing.T) {
	r := opened(t, electors(t, len(namesOfElectors), namesOfElectors...))
	found, total := r.Search("Papadopoulos Nikolaos", 5)
	if total != 1 || found[0].Elector.Surname != "Papadopoulos" {
		t.Errorf("%s", listed(found))
	}
}

func TestNonsenseFindsNobody(t *testing.T) {
	r := opened(t, electors(t, len(namesOfElectors), namesOfElectors...))
	for _, query := range []string{"", " ", "-'", "xqzwk", "xqzwk vqqxj", strings.Repeat("z", 10_000), "\xff\xfe", strings.Repeat("é", 61)} {
		if found, total := r.Search(query, 5); len(found) != 0 || total != 0 {
			t.Errorf("%.20q: %s", query, listed(found))
		}
	}
	if found, _ := r.Search("janssens", 0); found != nil {
		t.Error("a list of none")
	}
}

func TestListIsBoundedAndSaysHowManyThereAre(t *testing.T) {
	var names [][2]string
	for i := range 300 {
		names = append(names, [2]string{"Peeters", fmt.Sprintf("Maria %c%c", 'a'+i/26, 'a'+i%26)})
	}
	r := opened(t, electors(t, 300, names...))
	found, total := r.Search("peeters maria", 1000)
	if len(found) != MaxFound || total != 300 {
		t.Errorf("%d of %d", len(found), total)
	}
	for k, f := range found {
		if want := names[k][1]; f.Elector.FirstNames != want {
			t.Errorf("place %d has %s, the alphabet says %s", k, f.Elector.FirstNames, want)
		}
	}
}

func TestNamesAreIndexedBeforeTheFirstSearchButNotOnceClosed(t *testing.T) {
	r := opened(t, electors(t, 300))
	r.IndexNames()
	if len(r.words.words) == 0 {
		t.Error("the first search still has everything to do")
	}
	closed := opened(t, electors(t, 300))
	closed.Close()
	closed.IndexNames()
	if len(closed.words.words) != 0 {
		t.Error("names are in memory after the register was closed")
	}
}

func TestDistanceCountsSlips(t *testing.T) {
	for _, e := range []struct {
		a, b string
		most int
		want int
	}{
		{"maes", "maes", 2, 0},
		{"maes", "mase", 2, 1},
		{"maes", "mes", 2, 1},
		{"maes", "maess", 2, 1},
		{"maes", "moes", 2, 1},
		{"maes", "aems", 2, 2},
		{"maes", "peeters", 2, 3},
		{"abcdef", "badcfe", 2, 3},
		{"", "ab", 2, 2},
		{"a", "b", 0, 1},
	} {
		if got := distance([]byte(e.a), []byte(e.b), e.most); got != e.want {
			t.Errorf("%s, %s: %d, want %d", e.a, e.b, got, e.want)
		}
		if got := distance([]byte(e.b), []byte(e.a), e.most); got != e.want {
			t.Errorf("%s, %s: %d, want %d", e.b, e.a, got, e.want)
		}
	}
}

func FuzzSearch(f *testing.F) {
	r := opened(f, electors(f, len(namesOfElectors), namesOfElectors...))
	for _, n := range namesOfElectors {
		f.Add(n[0] + " " + n[1])
	}
	f.Fuzz(func(t *testing.T, query string) {
		found, total := r.Search(query, 7)
		if len(found) > 7 || len(found) > total {
			t.Errorf("%d of %d", len(found), total)
		}
		for k := 1; k < len(found); k++ {
			if found[k].Points > found[k-1].Points {
				t.Error("out of order")
			}
		}
	})
}
