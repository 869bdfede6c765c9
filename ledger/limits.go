package ledger

// Every size in the ledger has one of these as its maximum (SPEC 1.3).
const (
	// MaxStatement is the length of an encoded statement, in bytes.
	MaxStatement = 4 << 10
	// MaxStatements is how many statements one batch carries.
	MaxStatements = 64
	// MaxBatch is the length of an encoded batch, in bytes.
	MaxBatch = 48 << 10
	// MaxEntry is the length of an encoded entry, in bytes: the limit of C2SP
	// tlog-tiles v0.1.0, whose entries have a uint16 length.
	MaxEntry = 1<<16 - 1
	// MaxExtract is the length of an encoded extract, in bytes, so that a
	// statement can embed one that embeds one.
	MaxExtract = 3 << 10
	// MaxSealed is the length of sealed text (age) inside a statement.
	MaxSealed = 2 << 10
	// MaxParkedBatches is how many batches of one author wait in the replicated state for
	// the batch before them.
	MaxParkedBatches = 64
	// MaxParkedBureau is the same for all the sessions of one bureau together:
	// an author that draws sessions at random gains nothing by it.
	MaxParkedBureau = 256
	// MaxAdmissions is how many live admissions of one right are listed; a
	// conflict beyond names the first as well as any other does.
	MaxAdmissions = 16
	// MaxWord is the length of a member's signed word, in bytes, so that an equivocation
	// statement holds two.
	MaxWord = 1 << 10
	// MaxFormNumber is the length of a proxy form's number, in bytes.
	MaxFormNumber = 32
	// MaxPlace is the length of the name of a place, in bytes.
	MaxPlace = 128
	// MaxElectors is how many electors one commune's roll holds: its five digits
	// of the convocation number allow no more (decree art. 3 §1).
	MaxElectors = 100_000
	// MaxBureaux is how many bureaux one commune has.
	MaxBureaux = 512
	// Incarnations is how many machines in turn a bureau's keys provide for.
	Incarnations = 3
	// MaxNonce is the largest nonce of a right: none is ever counted round to 0,
	// where a returned release could be held again.
	MaxNonce = 1<<31 - 1
	// MaxEntries is how many entries one epoch's chain has.
	MaxEntries = 1 << 24
	// TimeGrain is the grain of the time of statements that name an elector, in
	// milliseconds: someone who noted who came when must not find them by it.
	TimeGrain = 5 * 60 * 1000
)
