// Package minutes is the minutes (procès-verbal, proces-verbaal) of a bureau and of a commune, and the lists
// of the evening, computed from the ledger's entries and drawn as PDF and HTML in French and in Dutch.
//
//	Collector   entries -> Minutes                  collect*.go, standing.go, tree.go
//	Minutes     what stands in them, no language    minutes.go
//	Compose     Minutes -> Document in a language   compose*.go, texts*.go, lists.go
//	Document    blocks -> PDF, HTML, text           document.go, pdf*.go, html.go, text.go
//
// One document is in one language: whoever signs it has read all of it, and no table has half a page for
// each language. Both are drawn from one Minutes, carry the same figures in the same places, and are bound
// by one statement of the ledger (SPEC 2, kind 27), so that both are the original.
//
// The bytes depend on nothing but what is handed in: no clock, no order of a map, no compressor, no font of the
// machine, and no arithmetic that another processor could round otherwise.
package minutes
