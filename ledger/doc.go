// Package ledger is what is true: the bytes of a commune's check-in ledger, the
// rules that place them, and their verification, as pure functions.
//
// The way of the bytes, from small to large:
//
//	Statement   what a bureau declares                              statement.go, bodies_*.go
//	Batch       statements under one signature, in a bureau's chain batch.go
//	Extract     one statement with its proof, to travel alone       extract.go
//	Entry       a batch at its place in the commune's chain         entry.go
//	After       where a right stands at one bureau                  judge.go
//	Place       a batch + what stands already -> entries, verdicts  place*.go, view.go
//	BeginEpoch  a new chain from a signed checkpoint of the last    epoch.go
//	Word        what a member says of its ledger, signed            word.go
//	Heads       heads and chains, outside the group                 gossip.go
//	Checkpoint  size and root of the tree, as a signed note         checkpoint.go
//	tiles       the export's layout                                 tile.go
//	Verify      an export against its manifest                      verify*.go
//
// SPEC.md is the binding text; its vectors lie in testdata/vectors.
package ledger
