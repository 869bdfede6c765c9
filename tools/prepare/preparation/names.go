package preparation

import "strings"

// community is a group of names for synthetic electors. First names are among
// the frequent ones in Belgium (Statbel, first names 2022). Surnames: the ten
// most frequent of Brussels, Flanders and Wallonia (Statbel, 2016), and names
// that are usual in Brussels; they say nothing of anybody, and the shares are
// made up for simulations.
type community struct {
	share      int // per cent
	dutch      int // per cent addressed in Dutch
	women, men []string
	surnames   []string
}

func words(s string) []string { return strings.Fields(s) }

// lines are names of several words, one a line.
func lines(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

var communities = []community{
	{
		share: 37, dutch: 4,
		women: words(`Marie Nathalie Martine Monique Anne Nicole Christine Isabelle Sarah Christiane Julie Laura Patricia Jacqueline
			Caroline Sophie Charlotte Véronique Françoise Brigitte Catherine Sandra Sabine Louise Valérie Dominique Stéphanie Élise
			Fabienne Laurence Manon Alice Vanessa Viviane Bernadette Jeanne Jessica Aurélie Virginie Anne-Marie Lucie Marianne Pauline
			Juliette Léa Clara Chloé Mireille Michèle Yvette Christelle Josiane Cécile Delphine Florence Amélie Alexandra Anaïs Claire
			Georgette Audrey Béatrice Joëlle Justine Élodie Chantal Geneviève Noémie Zoé Marie-Claire Éléonore`),
		men: words(`Marc Patrick Luc Michel Philippe Jean David Éric Pierre Paul Daniel Alain Nicolas Christophe Olivier Christian Louis
			Jacques Roger Robert Guy Vincent François Frédéric Michaël Maxime Thierry Laurent Bernard Hugo Jonathan Didier Arthur
			Sébastien Antoine Bruno Henri Benjamin Nathan Cédric Serge Albert Martin Guillaume Mathieu Jean-Pierre Roland Arnaud
			Adam Anthony Romain Xavier Charles Samuel William Quentin Gilbert Maurice Emmanuel Gilles Denis Lucien Fabrice Loïc
			Raymond Jérôme Adrien Jean-Marie Grégory Florian Mathis Théo Ludovic Damien`),
		surnames: append(words(`Dubois Lambert Martin Dupont Simon Leclercq Dumont Laurent Lejeune Renard Lefèvre Lefebvre Delvaux Deschamps
			Rousseau Thiry Collard Gérard Mathieu Noël Charlier Hubert Denis Gillet Dethier Marchal Bodart Toussaint Pirson Lemaire
			Michaux Delfosse Baudoux Servais Bertrand Grégoire Henrard François Collin Poncelet Wauthier Hendrickx Janssens Peeters
			Jacobs Wauters Leroy Moreau Fontaine Carlier Mercier Delcourt Degrève Deprez Pottier Massart Vanderlinden Vandenbroucke
			Stassart Évrard Delhaye Lecomte Piette Vandamme Goffin Adam`), lines(`de Meeûs
			d'Oultremont
			de Coninck
			De Backer
			Van den Broeck
			Van Cutsem
			De Ridder
			Le Paige
			Vander Elst
			Delvaux de Fenffe
			du Bus
			'T Kint`)...),
	},
	{
		share: 13, dutch: 92,
		women: words(`Maria Rita Anna Ann Ingrid Linda Nancy Godelieve Hilde Els Cindy Sofie Katrien Veerle Inge Ellen Ilse An Greta
			Heidi Nele Lotte Annelies Elke Hilda Lore Jolien Hanne Marijke Karin Sara Eline Elisabeth Lien Femke Griet Tine Saskia`),
		men: words(`Jan Johan Peter Dirk Tom Bart Jozef Steven Wim Koen Pieter Guido Stijn Filip Erik Jonas Kristof Frans Kurt Walter
			Jeroen Hans Sven Stefan Rudi Herman Ruben Mathias Maarten Wouter Bert Karel Niels Bram Stefaan Jens Joris Matthias Dries
			Frederik Hendrik Robbe Jelle Michiel Willem Dieter Björn Jürgen`),
		surnames: append(words(`Peeters Janssens Maes Jacobs Willems Mertens Claes Wouters Goossens Dierickx Thijs Thys Verhaegen Verhagen
			Aerts Hermans Michiels Cools Segers Lemmens Bosmans Stevens Smets Vermeulen Verbruggen Verhoeven Cuypers Coppens Wuyts
			Pauwels Hendrickx Vandenberghe Desmet Dewitte Declercq Reyniers Meyers Schepers Geerts Sanders Lambrechts Moens Timmermans
			Dhondt Vanhove Vandevelde Baert`), lines(`De Smet
			De Smedt
			Van den Berghe
			Van Damme
			De Clercq
			De Wilde
			Van Hoof
			Van der Auwera
			D'Hondt
			Van 't Hof
			Van de Velde
			De Cock
			Vanden Eynde
			Van Herreweghe
			De Meyer
			De Keersmaecker`)...),
	},
	{
		share: 21, dutch: 7,
		women: words(`Fatima Aïcha Rachida Yasmina Khadija Zineb Imane Naïma Nadia Samira Malika Hafida Latifa Salma Nora Sara Inès
			Yousra Hanane Karima Loubna Souad Zohra Meryem Amina Hajar Siham Asmae Ikram Farah`),
		men: words(`Mohamed Mohammed Ahmed Youssef Hamza Karim Ayoub Omar Bilal Saïd Hassan Rachid Abdelkader Mustapha Hicham Nabil
			Mehdi Ibrahim Ismaël Yassine Anas Soufiane Abdellah Jamal Khalid Ali Zakaria Adil Brahim Tarik`),
		surnames: append(words(`Benali Bouazza Amrani Bennani Alaoui Chaoui Belhaj Bakkali Haddad Idrissi Tahiri Boujemaa Lahlou Saïdi Azzouzi
			Ouali Benhaddou Bouchra Fassi Mansouri Cherkaoui Berrada Zeroual Haddouchi Aharchi Benyahia Chakir Daoudi Elouardi
			Ghazi Hamdaoui Jabri Kaddouri Laroussi Moussaoui Naciri Ouahabi Rahmani Serghini Touzani Yaagoubi Ziani`), lines(`El Amrani
			El Haddad
			El Khattabi
			Ben Ali
			Ben Haddou
			Aït Ouali
			El Idrissi
			M'Barek
			El Yousfi
			Ould Ahmed`)...),
	},
	{
		share: 10, dutch: 5,
		women: words(`Aminata Kadiatou Aïssatou Fatoumata Mariama Grâce Béatrice Esther Ruth Divine Chantal Joséphine Nadège Espérance
			Clémentine Odette Bintou Hawa Rokhaya Gloria`),
		men: words(`Mamadou Ibrahima Amadou Ousmane Abdoulaye Alpha Thierno Moussa Boubacar Jean-Claude Emmanuel Patrick Christian
			Dieudonné Fabrice Serge Trésor Aimé Cheikh Souleymane`),
		surnames: append(words(`Diallo Bah Barry Sow Camara Touré Keïta Sylla Traoré Baldé Konaté Ndiaye N'Diaye Mukendi Kabongo Ilunga
			Tshibangu Mbuyi Kalala Lukusa Mutombo Ngoy Nkulu Mbala Makiese Habimana Uwimana Niyonzima Ndayisaba Mugisha Kamau
			Owusu Mensah Okafor`), lines(`Mbuyi Kabongo
			Ilunga Mukendi
			Kalala wa Kalala`)...),
	},
	{
		share: 5, dutch: 12,
		women: words(`Ayşe Fatma Emine Hatice Zeynep Elif Özlem Gülşen Sevgi Derya Esra Büşra Meltem Hülya`),
		men:   words(`Mehmet Mustafa Ahmet Ali Hüseyin Hasan İbrahim Murat Emre Yusuf Ömer Osman Serkan Uğur`),
		surnames: words(`Yılmaz Kaya Demir Şahin Çelik Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt
			Özkan Şimşek Polat Korkmaz Güneş Erdoğan`),
	},
	{
		share: 9, dutch: 8,
		women: words(`Maria Sofia Elena Giulia Francesca Rosa Carmela Ana Carmen Inês Beatriz Lucía Paola Eleni Despina Concetta Giovanna
			Teresa Isabel Pilar`),
		men: words(`Giuseppe Antonio Mario Salvatore Luca Marco João Manuel José Carlos Francesco Giovanni Dimitri Georgios Miguel Ángel
			Paulo Nuno Andrea Javier`),
		surnames: append(words(`Rossi Russo Ferrari Esposito Bianchi Romano Colombo Greco Silva Santos Ferreira Pereira Oliveira Gonçalves
			García Fernández López Martínez Sánchez Pérez Papadopoulos Nikolaou Georgiou Fernandes Simões`), lines(`Di Stefano
			De Luca
			dos Santos
			da Silva
			Della Rocca
			D'Angelo
			Lo Presti
			García Márquez
			de la Fuente
			De Oliveira`)...),
	},
	{
		share: 5, dutch: 10,
		women: words(`Ioana Elena Andreea Mihaela Agnieszka Katarzyna Małgorzata Ewa Magdalena Aleksandra Desislava Petya Olga Natalia
			Kinga Zsófia Jana Eglė`),
		men: words(`Andrei Alexandru Mihai Ion Piotr Krzysztof Paweł Tomasz Łukasz Ivan Georgi Dimitar Oleksandr Zoltán László Jiří
			Tomáš Marius`),
		surnames: words(`Popescu Ionescu Popa Dumitru Stan Munteanu Kowalski Nowak Wiśniewski Wójcik Kamiński Zieliński Lewandowski Ivanov
			Dimitrov Petrov Georgiev Nagy Szabó Kovács Novák Dvořák Horváth Kowalczyk Krasniqi Hoxha Gashi Berisha Kelmendi`),
	},
}

// streets of synthetic addresses: names that many places have.
var streets = map[bool][]string{
	false: lines(`Rue de l'Église
		Rue des Tilleuls
		Avenue des Acacias
		Rue du Moulin
		Rue de la Fontaine
		Place Communale
		Rue des Écoles
		Avenue des Cerisiers
		Chaussée du Levant
		Rue du Marché
		Rue des Jardins
		Clos des Peupliers
		Rue de la Colline
		Avenue du Parc
		Rue des Artisans
		Rue du Vieux Puits
		Boulevard du Midi
		Rue des Hirondelles
		Impasse du Coq
		Square des Érables
		Rue des Maraîchers
		Rue Haute
		Rue Basse
		Drève des Charmes
		Rue de la Brasserie
		Quai des Péniches`),
	true: lines(`Kerkstraat
		Lindenlaan
		Acacialaan
		Molenstraat
		Fonteinstraat
		Gemeenteplein
		Schoolstraat
		Kerselarenlaan
		Oostersteenweg
		Marktstraat
		Tuinenstraat
		Populierengaarde
		Heuvelstraat
		Parklaan
		Ambachtsstraat
		Oude Putstraat
		Zuidlaan
		Zwaluwenstraat
		Haangang
		Esdoornsquare
		Groentekwekersstraat
		Hoogstraat
		Laagstraat
		Haagbeukendreef
		Brouwerijstraat
		Schuitenkaai`),
}
