"""One text of each kind, for tests and benchmarks of token counting."""

CORPUS = {
    "english": (
        "When a call costs a fraction of a cent, an answer is best made as a process of small steps that are hard to get wrong:"
        " write, review, test, run, go back with the error log. It's what they'd do; we've seen that it works.\n\n"
    ),
    "german": "Die Maßnahmen zur Überprüfung der Verträge wurden während einer außerordentlichen Sitzung beschlossen.\n",
    "polish": "Wczoraj wieczorem mieliśmy okazję obejrzeć przedstawienie, które zrobiło na wszystkich ogromne wrażenie.\n",
    "russian": "Вчера вечером мы обсуждали новый проект, который должен быть готов к концу следующего месяца.\n",
    "chinese": "今天的会议讨论了三个问题：预算、时间表和人员安排。大家一致同意，下周一之前完成第一份草案。\n",  # noqa: RUF001
    "japanese": "昨日の会議では、新しい製品の価格について話し合いました。来週までに結論を出す予定です。\n",
    "korean": "어제 회의에서 새로운 제품의 가격에 대해 이야기했습니다. 다음 주까지 결론을 내릴 예정입니다.\n",
    "arabic": "ناقش الاجتماع أمس الميزانية الجديدة للمشروع، وسيتم الإعلان عن النتائج في الأسبوع القادم.\n",
    "hindi": "कल की बैठक में नए उत्पाद की कीमत पर चर्चा हुई और अगले सप्ताह तक निर्णय लिया जाएगा।\n",
    "code": (
        "def settle(self, usage: Usage) -> None:\n    for scope in self.scopes:\n"
        "        if scope.used + usage.total > scope.limit:\n"
        '            raise BudgetExceeded(kind="tokens", limit=scope.limit)\n        scope.used += usage.total_tokens\n\n'
    ),
    "json": '{"id": "ticket-1042", "tags": ["billing", "urgent"], "total": 129.95, "paid": false, "buyer": {"name": "Ada"}}\n',
    "emoji": "Great work 🎉🎉 see you at 5 👍🏽 the family 👩‍👩‍👧‍👦 flies to 🇩🇪 ✅ done!\n",
    "identifiers": "3f2a9c1e-77d0-4b1e-9a53-0c6f1f0de8aa GET /v1/models/gpt-4o-mini?limit=100 req_4eC39HqLyjWDarjtT1zdp\n",
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==\n",
}
