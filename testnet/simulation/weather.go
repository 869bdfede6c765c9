package simulation

import "pointage/testnet/links"

// Delay reads how long what passes between two bureaux is on its way: "80ms", or "40ms-160ms" one way.
func (p *Plan) Delay(text string) (err error) {
	p.Weather.Least, p.Weather.Most, err = links.ParseDelay(text)
	return err
}

// Lose reads the share of it that is lost and sent again: "1%".
func (p *Plan) Lose(text string) (err error) {
	p.Weather.Loss, err = links.ParseLoss(text)
	return err
}
