package main

import (
	"flag"

	"pointage/testnet/simulation"
)

// weather adds the flags of the delay and the loss on every cable.
func weather(fs *flag.FlagSet, p *simulation.Plan) {
	fs.Func("delay", "one-way delay between bureaux, each piece its own: 80ms, or 40ms-160ms", p.Delay)
	fs.Func("loss", "share of what passes between bureaux that is lost and sent again: 1%", p.Lose)
}
