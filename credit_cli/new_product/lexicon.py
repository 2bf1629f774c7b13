"""Words by which lenders name columns and outcomes: English, some German and Romance ones."""

from __future__ import annotations

import re

LABEL_NAMES = re.compile(
    r"default|defaulted|bad|target|label|class|outcome|loan_status|status|credit?ability|risk|kredit"
    r"|good_bad|goodbad|bad_good|charged_off|chargeoff|charge_off|dlq|delinq|serious_dlqin2yrs"
    r"|fully_paid|paid_back|repaid|response|y|mis_status|ausfall|zahlungsausfall|ausgefallen|npl"
    r"|non_performing|bonitaet|loan_repaid|write_off|written_off|late|result|flag|asset_class"
    r"|estado|situacion|situacao|impago|impagado|moros[oa]|mora|morosidad|incumplimiento|inadimpl\w+"
    r"|statut|impaye|stato|esito|insoluto|sofferenza"
)
"""Searched in a clean name as whole words, see ``has_word``."""
SURE_LABEL_NAMES = re.compile(
    r"default(ed)?|bad|target|label|class|outcome|loan_status|creditability|kredit|good_bad|bad_good"
    r"|goodbad|charged_off|chargeoff|charge_off|risk|y|not_fully_paid|serious_dlqin2yrs|mis_status"
    r"|ausfall|zahlungsausfall|ausgefallen|loan_repaid|repaid|bad_flag|default_flag|is_default|status"
    r"|bad_loan|loan_default|default_payment_next_month|default_ind|credit_risk|performance"
    r"|risk_performance|outcome_status|is_bad|gb|good|repayment_status_final|fully_paid|npl"
    r"|impago|impagado|moros[oa]|mora|incumplimiento|inadimpl\w+|impaye|insoluto|sofferenza"
    r"|estado(_(del_)?(prestamo|credito))?|situacao(_do_contrato)?|statut|asset_class(ification)?"
)
"""A whole name that is the outcome's, where its values allow."""
BAD_NAMES = re.compile(
    r"default|defaulted|bad|charged?_?off|write_?off|written_off|chargeoff|dlq|dlqin2yrs|delinq\w*"
    r"|ausfall|zahlungsausfall|ausgefallen|npl|non_performing|late|unpaid|not_(fully_)?(re)?paid"
    r"|arrears|loss|failed|overdue|impago|impagado|moros[oa]|mora|incumplimiento|inadimplen\w+"
    r"|impaye|insoluto|sofferenza"
)
"""In the name of an outcome: yes, or 1, is a default."""
GOOD_NAMES = re.compile(
    r"repaid|fully_paid|paid|paid_back|good|performing|creditability|settled"
    r"|pagad[oa]|rembourse|adimplente|rimborsato"
)
"""In the name of an outcome: yes, or 1, is no default."""

BAD_VALUES = frozenset(
    (
        *("bad", "b", "default", "defaulted", "charged off", "chargedoff", "charge off", "chgoff"),
        *("charge-off", "charged-off", "written off", "write off", "npl", "non-performing", "loss"),
        *("does not meet the credit policy. status:charged off", "unpaid", "not paid", "failed"),
        *("schlecht", "ausfall", "ausgefallen", "in default", "late (31-120 days)", "delinquent"),
        *("serious delinquency", "foreclosed", "repossessed", "bankrupt", "collections"),
        *("not repaid", "overdue", "in arrears", "high risk"),
        *("in collection", "in collections", "collection", "sent to collections", "repo"),
        *("charged off - collections", "bankruptcy", "insolvent", "writeoff", "write-off"),
        *("written-off", "npa", "sub-standard", "substandard", "doubtful", "loss asset"),
        *("gekündigt", "inkasso", "in verzug", "zahlungsverzug"),
        *("impago", "impagado", "impagada", "moroso", "morosa", "en mora", "mora", "fallido"),
        *("castigado", "incobrable", "vencido", "inadimplente", "em atraso", "inadimplência"),
        *("impayé", "en défaut", "défaut", "contentieux", "insoluto", "in sofferenza"),
        *("sofferenza", "insolvente"),
    )
)
GOOD_VALUES = frozenset(
    (
        *("good", "g", "paid", "fully paid", "repaid", "paid off", "paid in full", "p i f", "pif"),
        *("performing", "no default", "non-default", "not default", "nondefault", "non default"),
        *("does not meet the credit policy. status:fully paid", "gut", "zurückgezahlt", "bezahlt"),
        *(
            "completed",
            "settled in full",
            "closed",
            "kein ausfall",
            "finishedcompleted",
            "collected",
        ),
        *("low risk", "ok", "paid as agreed", "paid - closed", "zurückbezahlt", "getilgt"),
        *("pagado", "pagada", "liquidado", "liquidada", "saldado", "saldada", "amortizado"),
        *("pago", "paga", "quitado", "quitada", "adimplente", "remboursé", "soldé"),
        *("estinto", "rimborsato", "saldato"),
    )
)
OPEN_VALUES = frozenset(
    (
        *("current", "in grace period", "issued", "late (16-30 days)", "open", "active", "ongoing"),
        *("late", "laufend", "offen", "pending", "in repayment", "finalpaymentinprogress"),
        *("std", "standard", "sma", "sma-0", "sma-1", "sma-2", "regular"),
        *("en curso", "vigente", "activo", "al corriente", "al día", "em andamento", "em dia"),
        *("en cours", "in corso", "in essere"),
        *("past due (1-15 days)", "past due (16-30 days)", "cancelled", "canceled", "withdrawn"),
    )
)
"""The loan goes on: nobody knows yet."""
DECISIONS = frozenset(
    ("approved", "rejected", "declined", "denied", "accepted", "refused", "approve", "reject")
)
"""What a lender decided; not what became of the loan."""
YES = frozenset(("1", "1.0", "yes", "y", "true", "t", "ja", "j", "si", "sí", "sim", "oui", "vero"))
NO = frozenset(("0", "0.0", "no", "n", "false", "f", "nein", "non", "não", "nao", "falso"))

PERSON_KEY = re.compile(
    r"(customer|client|member|borrower|applicant|person|user|cust|kunden?|consumer|party|holder"
    r"|cardholder)_?(id|nr|no|number|nummer|key|code|ref|uuid)?(_(id|nr|number))?|dob_ssn|sk_id_curr"
    r"|((id|cod|codigo|num|numero|n|no|nr|code|codice)_(de_|do_|del_)?)?(cliente|client|socio|titular"
    r"|solicitante|prestatario|mutuario|emprunteur)(_id)?"
)
NATIONAL_ID = re.compile(
    r"dni|nie|nif|cpf|cnpj|curp|rfc|rut|cedula|codice_fiscale|pesel|bsn|aadhaar|pan|bvn|nin|nino"
    r"|(\w+_)?ssn(_\w+)?|social_security\w*|ein|fein|tax_?id|steuer\w*|personnummer|passport\w*"
)
"""A number that a state gave to a person or a business."""
LOAN_ID = re.compile(
    r"(\w*_)?(id|uuid|guid|ref|reference|nr|nummer|rowid)|index|key|number|(loan|account|contract"
    r"|application|case|file|deal|credit|agreement|policy)_?(key|no|number|code|num)|unnamed_\d+|column_1|"
    r"loan_?nr\w*|id_\w+|row|row_names?|rownames|x|n_?\d*|lan"
    r"|(n|no|nr|num|numero|cod|codigo)_(de_|do_|del_)?(prestamo|credito|contrato|operacion|solicitud"
    r"|expediente|emprestimo|proposta|dossier|pret|pratica|contratto)"
)
TIME = re.compile(
    r"(application|applied|apply|app|origination|orig|issued?|booking|booked|funded|funding|start|"
    r"disbursement|disbursed|disbursal|sanction|approval|loan|credit|contract|antrags?|created|open(ed)?|signed)_?"
    r"(date|dt|d|datum|time|timestamp|on|at|day|month)(_value)?|date|datum|event_timestamp(_value)?"
    r"|issue_d|timestamp|antragsdatum|vertragsdatum|application_timestamp|fecha"
    r"|(fecha|data|date)_(de_|da_|do_|del_|d_)?(la_)?(solicitud|concesion|formalizacion|alta|firma"
    r"|desembolso|contrato|contratacao|prestamo|credito|otorgamiento|operacion|solicitacao|concessao"
    r"|pedido|proposta|demande|octroi|contrat|richiesta|domanda|erogazione|contratto)"
)
NOT_WHEN_APPLIED = re.compile(
    r"birth|dob|geburt|nacim|nascim|naissance|nascita|last|final|due|end|maturity|clos|default|chargeoff|charge_off|chg|earliest|"
    r"report|next|payoff|paid|payment|settle|first|expir|update|modified|snapshot|as_of|created_time"
)
DEFAULT_DATE = re.compile(r"default|charge_?off|chgoff|chargeoff|writ(e|ten)_?off|ausfall|bad")

PROHIBITED = {
    "sex": r"sex|gender|geschlecht|code_gender|male|female|sexe|sexo|sesso|genero|wom[ae]n(_owned)?"
    r"|female_owned|wosb|owner_gender|anrede|salutation|civilite|tratamiento",
    "marital status": r"marriage|marital\w*|married|familienstand|family_status|civil_status"
    r"|personal_status\w*|spouse|divorced|estado_civil|etat_civil|stato_civile"
    r"|situation_(familiale|matrimoniale)",
    "national origin": r"foreign\w*|nationality|nationalit\w*|staatsangehoerigkeit|ethnic\w*"
    r"|country_of_birth|birth_?place|immigra\w*|citizen\w*|native|native_country|nacionalidade?"
    r"|nationalite|nazionalita|cittadinanza|extranjero|pais_(de_)?nacimiento",
    "race or color": r"race|racial|skin_color|hispanic|latino|caste|minority(_owned)?|raza|raca"
    r"|tribe|tribal|clan",
    "religion": r"religion|religious|konfession|church|religiao",
    "age": r"age|alter|age_years|age_in_years|person_age|applicant_age|customer_age|dob|birth\w*"
    r"|geburts\w*|date_of_birth|days_birth|year_of_birth|alter_in_jahren|borrower_age|client_age"
    r"|agegroup|age_group|age_band|age_range|senior_citizen|senior|edad|idade|nacimiento|nascimento"
    r"|naissance|nascita",
}
PROHIBITED_VALUES = {
    "sex": frozenset(
        (
            *("male", "female", "man", "woman", "mr", "mr.", "mrs", "mrs.", "ms", "ms.", "miss"),
            *("männlich", "weiblich", "divers", "herr", "frau", "m.", "mme", "mlle", "monsieur"),
            *("madame", "homme", "femme", "hombre", "mujer", "masculino", "femenino", "varón"),
            *("homem", "mulher", "feminino", "maschio", "femmina", "sig.", "sig.ra"),
        )
    ),
    "marital status": frozenset(
        (
            *("married", "divorced", "widowed", "separated", "unmarried", "never married"),
            *("verheiratet", "ledig", "geschieden", "verwitwet", "casado", "casada", "casado/a"),
            *("soltero", "soltera", "soltero/a", "divorciado", "divorciada", "divorciado/a"),
            *("viudo", "viuda", "viudo/a", "célibataire", "marié", "mariée", "marié(e)"),
            *("divorcé", "divorcée", "divorcé(e)", "veuf", "solteiro", "viúvo", "coniugato"),
        )
    ),
}
"""Two answers that say what a column is, whatever it is called."""
SEXES = (frozenset("mf"), frozenset("mw"), frozenset("hm"))
LIMITED = {
    "children or dependents": r"children|dependents?|dependants?|kinder|cnt_children|kids"
    r"|family_members|fam_members|cnt_fam_members|number_of_dependents|num_dependents"
    r"|people_liable|liable_people|household_size|hijos|filhos|enfants|figli|personas_a_cargo"
    r"|dependientes|dependentes",
    "a telephone listing": r"(tele)?phones?|telefon[oe]?",
    "public assistance": r"welfare|public_assistance|food_stamps?|benefits",
}
PROXIES = {
    "where somebody lives": r"zip\w*|postal\w*|postcode|plz|postleitzahl|city|county|addr\w*|state"
    r"|region\w*|province|neighbou?rhood|latitude|longitude|lat|lon|lng|area_code|country|town|ort"
    r"|wohnort|strasse|street|borrower_state|bundesland|location|district|census\w*|msa\w*"
    r"|pin_?code|cp|cod(igo)?_?postal|code_postal|cep|ciudad|municipio|provincia|localidad|barrio"
    r"|direccion|cidade|bairro|endereco|uf|estado|ville|commune|departement|adresse|comune|indirizzo",
    "a language or a device": r"language|locale|device|handset|phone_(model|type|brand)|browser|os"
    r"|user_agent|ip|imei",
    "education, which stands for prohibited bases": r"education\w*|school|university|college|degree"
    r"|bildung\w*|schulabschluss",
}
PERSONAL = re.compile(
    r"e_?mail\w*|phone\w*|tel|telephone_number|telefon\w*|mobile\w*|cell\w*|fax|ssn|social_security\w*"
    r"|iban|passport\w*|(first|last|sur|full|middle|maiden|fore|customer|client|borrower|applicant"
    r"|business|company|legal|trading|trade|firm|store|shop|employer|guarantor|owner|contact|dba)"
    r"_?name|name|vorname|nachname|tax_?id|steuer\w*|account_(number|no|nr)|card_(number|no)|kontonummer"
    r"|license_(number|no)|url|borrower|dba|msisdn|imsi|whatsapp\w*|nombre\w*|apellidos?|razon_social|prenom|nome|cognome"
    r"|sobrenome|correo\w*|movil|celular|cuenta"
)
AFTERWARDS = re.compile(
    r"total_(re|py?mnt|payment|paid|rec)\w*|recover\w*|last_py?mnt\w*|last_payment\w*|out_prncp\w*"
    r"|outstanding_principal|collection_recovery_fee|next_py?mnt\w*|hardship\w*|settlement\w*"
    r"|debt_settlement\w*|pymnt_plan|last_fico\w*|last_credit_pull\w*|months_on_book|mob|chgoff\w*"
    r"|charge_?off\w*|chargeoff\w*|write_?off\w*|written_off\w*|principal_paid|interest_paid|repaid\w*"
    r"|paid_(total|off|principal|interest|amount)|loss\w*|lgd|balance_gross|amount_repaid|dpd|"
    r"days_past_due|loan_status|final_status|closed?_date|payoff\w*|repayment_status_final"
    r"|current_balance_of_loan|remaining_\w*|deferral_term|orig_projected_pnts|policy_code"
    r"|late_fees?_received|total_rec_\w*|mis_status|collections_status|principalpayments\w*"
)
VERDICTS = re.compile(
    r"grade|sub_grade|loan_grade|risk_grade|rating_(model|internal)|prosper_(rating|score)\w*|int_rate"
    r"|interest_rate|loan_int_rate|interestrate|apr|borrower_(apr|rate)|lender_yield|zinssatz|zins"
    r"|rate_of_interest|rate_spread|upfront_charges|installment_grade|decision|approved|score_(band|model)"
    r"|risk_(band|class|level|score)|tin|tae|taeg|tan|tasa(_de_interes)?|tipo_(de_)?interes|juros"
    r"|taxa_de_juros|taux(_d_interet)?|tasso(_di_interesse)?"
)
DAYS_LATE = re.compile(
    r"(max_|worst_|current_)?(dpd|days_(late|past_due|overdue|in_arrears|delinquent)|arrears_days)"
    r"|verzugstage|dias_(de_)?(mora|atraso|impago)|jours_(de_)?retard|giorni_(di_)?ritardo"
)
KNOWN_UP = re.compile(
    r"delinq\w*|past_due|late|missed\w*|bankrupt\w*|inq\w*|inquir\w*|dti|debt_to_income|burden|arrears"
    r"|overdue|derog\w*|pub_rec\w*|times_\w*late|utili[sz]ation\w*|util|revol_util|defaults|90_?days"
    r"|debt_ratio|percent_income|loan_percent_income|collections"
)
KNOWN_DOWN = re.compile(
    r"income|salary|annual_inc|savings|employment_length|emp_length|years_employed|fico\w*"
    r"|credit_score|einkommen|gehalt|employment_years|person_emp_length|yoj|cibil\w*|vantage\w*"
    r"|ingresos?|renda|revenus?|reddito|salario|nomina|puntuacion"
)
MONEY = re.compile(
    r"amount|amnt|amt|income|inc|salary|balance|bal|limit|price|value|debt|payment|installment|instalment"
    r"|bill\w*|loan|savings|due|cost|fee|revenue|wage|betrag|hoehe|summe|einkommen|gehalt|kredit\w*"
    r"|importe|ingresos?|monto|cuota|renda|valor|prestacao|montant|revenus?|importo|reddito|salario"
    r"|credit|funded|mortgage|mortdue|deposit|assets?|gross|principal|disbursement|annuity|rent|pay"
)
SCORES = re.compile(r"fico|score|cibil|vantage\w*|schufa|crif|puntuacion|scoring|beacon")
CODES = re.compile(
    r"naics\w*|sic|mcc|nace|cnae|isic|wz|(branch|dealer|store|product|industry|occupation)"
    r"_(id|no|nr|number|code)|\w+_code|(cod|codigo)_\w+"
)
"""Numbers that only name something: one more is not more of it."""
TIMES = re.compile(r"(number|num|no|count)_of_times?\w*|times?_\w+|count|cnt")
IN_MONTHS = re.compile(
    r"months?|mths?|term|duration|tenor|laufzeit|mob|meses|mois|mesi|plazo|prazo"
)
COUNTS = re.compile(
    r"number|num|count|cnt|no|inq\w*|delinq\w*|open|accounts?|acc|lines?|times|trades?|pub_rec"
    r"|numero|nombre_de|bankruptcies|dependents|existing_credits|mort_acc|total_acc|clno|derog|ninq|anzahl|pulls|inquiries|cards"
)
REASONS = {
    "The amount requested": (
        r"(loan|credit|funded|requested|application)_?(amount|amnt|amt)|kredithoehe"
        r"|betrag|credit_amount|loan|amount|hoehe_des_kredits|amt_credit|loan_amnt|amt_financed"
        r"|amount_financed|(importe|monto)(_\w+)?|montant(_\w+)?|importo(_\w+)?|valor_solicitado"
    ),
    "The repayment term requested": (
        r"(duration|term|terms|laufzeit)(_\w+)?|loan_term|tenor|(loan_)?term_months|laufzeit\w*"
        r"|(plazo|prazo|duree|durata)(_\w+)?"
    ),
    "The purpose of the loan": (
        r"purpose|verwendungszweck|loan_intent|loan_purpose|reason|title|finalidade?|destino"
    ),
    "Your income": (
        r"(annual|monthly|gross|net|person|applicant)?_?(income|inc|salary)|einkommen"
        r"|income_\w+|(ingresos?|renda|revenus?|reddito|salario)(_\w+)?"
    ),
    "Your debts in relation to your income": (r"dti|debt_to_income\w*|debtinc|debt_ratio"),
    "The amount requested in relation to your income": (
        r"(loan_)?percent_income|payment_to_income|pti|loan_to_income|lti"
    ),
    "How much of your credit limits you use": (
        r"(revol_|revolving_|credit_)?util(i[sz]ation)?(_\w+)?|all_util"
    ),
    "The length of your employment": (
        r"(emp|employ(ed|ment)?)_?(length|years?|yrs|months?|duration|tenure|time|since)(_\w+)?|yoj"
        r"|beschaeftig(t|ungsdauer)\w*|work_exp\w*|antigue?dad_laboral\w*"
        r"|person_emp_length|(years|months|days)_employed"
    ),
    "The kind of your employment": r"emp(loyment|loyer)?_(type|status|kind)|beschaeftigungsart",
    "Your occupation": (r"job|occupation\w*|profession|beruf\w*|emp_title"),
    "Your housing situation": (
        r"(person_)?home_ownership|housing|residence_type|wohnsituation|home"
        r"|residential_status|vivienda|moradia|logement|abitazione"
    ),
    "The state of your checking account": (
        r"checking\w*|current_account|laufkont\w*|status_of_existing_checking_account"
        r"|konto\w*"
    ),
    "Your savings": (r"savings?\w*|sparkonto\w*"),
    "The number of recent inquiries on your credit report": (
        r"inq\w*|ninq|\w*inquir\w*|hard_pulls"
    ),
    "Late or missed payments on your credit obligations": (
        r"(num\w*_)?delinq\w*|missed_payments\w*|\w*past_due\w*|(\w*_)?late(_\w*)?|\w*overdue\w*"
    ),
    "Derogatory public records on your credit report": (r"pub_rec\w*|derog\w*"),
    "Bankruptcies on your record": (r"\w*bankrupt\w*"),
    "The rating of your credit history": (
        r"fico\w*|cibil\w*|vantage\w*|credit_score|creditscore|bureau_score|score|puntuacion\w*"
    ),
    "How you repaid earlier credit": (
        r"credit_history|earlier_loans|zahlungsmoral|moral\w*|cb_person_default_on_file"
    ),
    "The security offered": (r"collateral|property|security|sicherheit\w*|verm(oegen\w*)?"),
    "The guarantor offered, or the lack of one": (r"guarantors?|buerge\w*|co_?signer|coapplicant"),
}
"""What an applicant is told, by the whole name of a column."""


def matches(pattern: re.Pattern[str] | str, name: str) -> bool:
    """Whether a clean name is, as a whole, one of a pattern's."""
    return re.fullmatch(pattern, name.removesuffix("_value")) is not None


def has_word(pattern: re.Pattern[str] | str, name: str) -> bool:
    """Whether words of a clean name, one after the other, are one of a pattern's.

    >>> has_word("late", "times_late_30d"), has_word("late", "latest_income")
    (True, False)
    """
    words = name.removesuffix("_value").split("_")
    return any(
        re.fullmatch(pattern, "_".join(words[start:end]))
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    )


def subject_of(lexicon: dict[str, str], name: str, *, whole: bool = False) -> str | None:
    """Return the subject whose words are in a clean name, the first there is."""
    test = matches if whole else has_word
    return next((subject for subject, words in lexicon.items() if test(words, name)), None)
